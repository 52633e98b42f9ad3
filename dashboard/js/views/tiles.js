/** The figures of the whole range. */

import { html } from "htm/preact";
import { duration, percent, short, tokensIn, usd, whole } from "../format.js";
import { failedOf, tokensOf } from "../series.js";

export function Tiles({ figures, drill }) {
  const { interceptions, token_usage: usage, cost_usd: cost, first_byte_ms: first } = figures;
  const failed = failedOf(figures);
  return html`
    <dl class="tiles">
      <${Tile} title="Calls" value=${short(interceptions)} exact=${whole(interceptions)} link=${drill({})} />
      <${Tile} title="Failed" value=${percent(failed, interceptions)} note=${whole(failed)} bad=${failed > 0} link=${drill({ status: "failed" })} />
      <${Tile} title="Tokens" value=${short(tokensOf(figures))} note=${`${short(tokensIn(usage))} in, ${short(usage.output_tokens)} out`} />
      <${Tile} title="Cost" value=${usd(cost)} note=${notInCost(figures)} />
      <${Tile} title="First byte, median" value=${duration(first?.p50)} note=${first ? `p95 ${duration(first.p95)}` : ""} />
    </dl>
  `;
}

/** What the cost leaves out. */
export function notInCost({ interceptions, unpriced, no_usage: noUsage }) {
  const parts = [];
  if (unpriced) parts.push(`${short(unpriced)} without a price`);
  if (noUsage) parts.push(`${percent(noUsage, interceptions)} of calls report no tokens`);
  return parts.join(", ");
}

function Tile({ title, value, note, exact, bad, link }) {
  return html`
    <div class="tile">
      <dt>${link ? html`<a href=${link}>${title}</a>` : title}</dt>
      <dd title=${exact} class=${bad ? "bad" : undefined}>${value}</dd>
      <dd class="quiet">${note}</dd>
    </div>
  `;
}
