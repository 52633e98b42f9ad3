import assert from "node:assert/strict";
import { test } from "node:test";
import { breakOf, cacheLine, cureOf, lossOf } from "../../../dashboard/js/text/prompt_cache.js";

const CACHE = { read_tokens: 710, written_tokens: 90, fresh_tokens: 200, saved_usd: 3.12, lost_tokens: 9000, lost_usd: 0.41 };

test("a prompt cache is told in a line", () => {
  assert.equal(cacheLine(CACHE), "cache 71 %, saved $3.12, lost $0.41");
  assert.equal(cacheLine({ ...CACHE, saved_usd: null, lost_tokens: 0, lost_usd: 0 }), "cache 71 %");
});

test("where nothing was cached nothing is told", () => {
  assert.equal(cacheLine({ read_tokens: 0, written_tokens: 0, fresh_tokens: 5, saved_usd: 0, lost_tokens: 0, lost_usd: 0 }), "");
});

test("what has no price is lost in tokens", () => {
  assert.equal(lossOf({ lost_tokens: 9000, lost_usd: null }), "lost 9,000 tokens");
});

test("each cause is a sentence, and has a cure", () => {
  const said = (kind, index, cause) => breakOf({ block: kind && { kind, index }, cause });
  assert.equal(said("tools", 0, "reordered"), "The prompt cache broke: the order changed, from tool 1 on.");
  assert.equal(said("system", 1, "changed"), "The prompt cache broke: part of the system prompt 2 changed.");
  assert.equal(said("message", 2, "inserted"), "The prompt cache broke: something was inserted before message 3.");
  assert.equal(said("message", 0, "removed"), "The prompt cache broke: message 1 was removed.");
  assert.equal(said(null, 0, "expired"), "The prompt cache broke: the provider's lifetime of a cached prompt was over.");
  assert.equal(said(null, 0, "evicted"), "The prompt cache broke: the provider dropped it early.");
  for (const broke of [...["tools", "system", "message"].map((kind) => ({ block: { kind, index: 0 } })), { block: null, cause: "expired" }, { block: null, cause: "evicted" }])
    assert.match(cureOf(broke), /\w/);
});
