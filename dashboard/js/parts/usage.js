/** Tokens and cost. */

import { html } from "htm/preact";
import { reported, sumTokens, tokensIn, usd, whole, short, UNKNOWN } from "../text/format.js";

const KINDS = [
  ["input_tokens", "Input"],
  ["cache_read_input_tokens", "Read from cache"],
  ["cache_write_input_tokens", "Written to cache"],
  ["output_tokens", "Output"],
];

/** The four counts and the cost as figures; dashes where no token was reported. */
export function UsageFigures({ usage, cost }) {
  const known = reported(usage);
  return html`
    <dl class="figures">
      ${KINDS.map(([key, text]) => html`<div key=${key}><dt>${text}</dt><dd>${known ? whole(usage[key]) : UNKNOWN}</dd></div>`)}
      <div><dt>Cost</dt><dd>${usd(cost)}</dd></div>
    </dl>
  `;
}

/** Tokens in and out in a line of a list. */
export function UsageShort({ usage }) {
  const into = tokensIn(usage);
  const out = usage.output_tokens;
  if (into === null && out === null) return html`<span class="usage quiet">${UNKNOWN}</span>`;
  return html`<span class="usage"><span class="said">tokens in</span>${short(into)}<span class="quiet" aria-hidden="true"> → </span><span class="said">out</span>${short(out)}</span>`;
}

/** The counts of an interception. */
export function usageOf(interception) {
  return sumTokens(interception.token_usages);
}

/** Its cost in US dollars, null if it has none. */
export function costOf({ cost }) {
  return cost?.usd ?? null;
}
