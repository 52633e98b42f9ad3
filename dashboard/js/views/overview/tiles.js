/** The figures of the whole range, and how they changed against the range before. */

import { html } from "htm/preact";
import { changeOf } from "../../charts/statistics.js";
import { duration, percent, plural, short, tokensIn, UNKNOWN, usd, whole } from "../../text/format.js";
import { gainOf, shareOf } from "../../text/prompt_cache.js";

/**
 * `previous` are the figures of the time range before, where they are known; `drill` makes addresses of calls by terms, and `sessions` is
 * the address of those that lost most by the prompt cache; `prices` that of the models without a price, for who may see it.
 */
export function Tiles({ figures, previous, drill, sessions, prices }) {
  const { interceptions, failed, tokens, token_usage: usage, cost_usd: cost, first_byte_ms: first, cache } = figures;
  const before = previous?.interceptions ? previous : null;
  const change = (pick, format, isWorse = false) => before && html`<${Change} now=${pick(figures) ?? 0} then=${pick(before) ?? 0} before=${format(pick(before))} isWorse=${isWorse} />`;
  const shareFailed = (one) => one.failed / one.interceptions;
  return html`
    <dl class="tiles">
      <${Tile} title="Calls" value=${short(interceptions)} exact=${whole(interceptions)} change=${change((one) => one.interceptions, short)} link=${drill({})} />
      <${Tile} title="Failed" value=${percent(failed, interceptions)} note=${plural(failed, "call")} bad=${failed > 0} change=${change(shareFailed, (share) => percent(share, 1), true)} link=${drill({ status: "failed" })} />
      <${Tile} title="Tokens" value=${short(tokens)} note=${`${short(tokensIn(usage))} in, ${short(usage.output_tokens)} out`} change=${change((one) => one.tokens, short)} />
      <${Tile} title="Cost" value=${usd(cost)} note=${notInCost(figures, prices)} change=${change((one) => one.cost_usd, usd)} />
      <${Tile} title="First byte, median" value=${duration(first?.p50)} note=${first ? `p95 ${duration(first.p95)}` : ""} change=${change((one) => one.first_byte_ms?.p50, duration, true)} />
      <${Tile} title="Cache" value=${shareOf(cache) || UNKNOWN} note=${gainOf(cache)} link=${sessions} />
    </dl>
  `;
}

/** What the cost leaves out. */
function notInCost({ interceptions, unpriced, no_usage: noUsage }, prices) {
  const waiting = unpriced > 0 && `${short(unpriced)} without a price`;
  return html`${waiting && prices ? html`<a href=${prices}>${waiting}</a>` : waiting}${waiting && noUsage > 0 && ", "}${noUsage > 0 && `${percent(noUsage, interceptions)} of calls report no tokens`}`;
}

/** How a figure changed, and from what; whether that is good is said where `isWorse` tells that more is worse. */
function Change({ now, then, before, isWorse }) {
  const change = changeOf(now, then).replace("+", "↑ ").replace("−", "↓ ");
  const level = isWorse && now > 1.1 * then ? "bad" : isWorse && now < then / 1.1 ? "good" : "quiet";
  return change && html`<dd class="change ${level}" title="In the time before: ${before}">${change} <span class="quiet">from ${before}</span></dd>`;
}

function Tile({ title, value, note, exact, bad, change, link }) {
  return html`
    <div class="tile">
      <dt>${link ? html`<a href=${link}>${title}</a>` : title}</dt>
      <dd title=${exact} class=${bad ? "bad" : undefined}>${value}</dd>
      ${change}
      <dd class="quiet">${note}</dd>
    </div>
  `;
}
