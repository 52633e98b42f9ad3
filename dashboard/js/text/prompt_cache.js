/** Texts about the prompt cache. Pure. */

import { percent, usd, whole } from "./format.js";

const PLACES = { tools: "tool", system: "part of the system prompt", message: "message" };

const CAUSES = {
  changed: (place) => `${place} changed`,
  inserted: (place) => `something was inserted before ${place}`,
  removed: (place) => `${place} was removed`,
  reordered: (place) => `the order changed, from ${place} on`,
  expired: () => "the provider's lifetime of a cached prompt was over",
  evicted: () => "the provider dropped it early",
};

const CURES = {
  tools: "Send the same tools in the same order with each request of a session. Tools that are switched on and off break the cache.",
  system: "Keep what changes, such as a clock, a counter or a status of files, out of the system prompt: put it into the last message.",
  message: "Add to the end of a conversation, and leave what was sent before as it is. Compaction and edited tool results begin it again.",
  expired: "Long pauses cost it. Where pauses are usual, ask the provider for a longer lifetime (Anthropic: an hour, by ttl).",
  evicted: "Nothing of the request explains it. If it happens often, ask the provider.",
};

/** The share that was read: 71 %. Empty where nothing was cached or read. */
export function shareOf({ read_tokens: read, written_tokens: written, fresh_tokens: fresh }) {
  return read + written > 0 ? percent(read, read + written + fresh) : "";
}

/** What a prompt cache did, in a line: cache 71 %, saved $3.12, lost $0.41. Empty where nothing was cached. */
export function cacheLine(cache) {
  const share = shareOf(cache);
  return [share && `cache ${share}`, gainOf(cache)].filter(Boolean).join(", ");
}

/** What it saved and what was lost: saved $3.12, lost $0.41. Empty where nothing was. */
export function gainOf(cache) {
  return [cache.saved_usd > 0 && `saved ${usd(cache.saved_usd)}`, lossOf(cache)].filter(Boolean).join(", ");
}

/** What was lost: lost $0.41, or its tokens where they have no price. Empty where nothing was. */
export function lossOf({ lost_tokens: tokens, lost_usd: lost }) {
  if (!tokens) return "";
  return lost == null ? `lost ${whole(tokens)} tokens` : `lost ${usd(lost)}`;
}

/** Where a prompt cache broke and why, as a sentence: places are counted from one, as people do. */
export function breakOf({ block, cause }) {
  const place = block ? `${PLACES[block.kind]} ${whole(block.index + 1)}` : "";
  return `The prompt cache broke: ${CAUSES[cause](place)}.`;
}

/** What usually helps. */
export function cureOf({ block, cause }) {
  return CURES[block?.kind ?? cause];
}
