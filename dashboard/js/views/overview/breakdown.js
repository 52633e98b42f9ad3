/** The groups in figures, the one with the most calls first; each leads to its calls. */

import { html } from "htm/preact";
import { groupHref, groupName, seriesOf } from "../../charts/series.js";
import { duration, percent, short, tokensIn, usd, whole } from "../../text/format.js";

const TITLES = { model: "Models", provider: "Providers", client: "Clients", user: "Users", group: "Groups", token: "Tokens" };
const MAX_GROUPS = 12;

export function Breakdown({ stats, drill }) {
  const rows = seriesOf(stats).sort((one, another) => one.other - another.other || another.total.interceptions - one.total.interceptions);
  const title = TITLES[stats.group_by[0]];
  const most = Math.max(1, ...rows.map(({ total }) => total.interceptions));
  return html`
    <section class="card">
      <h2>${title}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${title}>
        <table class="breakdown">
          <thead>
            <tr><th>Name</th><th class="number">Calls</th><th class="number">Failed</th><th class="number">Tokens in</th><th class="number">Out</th><th class="number">Cost</th><th class="number">First byte</th></tr>
          </thead>
          <tbody>
            ${rows.slice(0, MAX_GROUPS).map((series) => html`<${Group} key=${groupName(series)} series=${series} most=${most} by=${stats.group_by} drill=${drill} />`)}
          </tbody>
        </table>
      </div>
      ${rows.length > MAX_GROUPS && html`<p class="quiet">${`and ${whole(rows.length - MAX_GROUPS)} more`}</p>`}
    </section>
  `;
}

function Group({ series, most, by, drill }) {
  const { total } = series;
  const name = groupName(series);
  const link = groupHref(series, by, drill);
  return html`
    <tr>
      <td>${link ? html`<a href=${link} title=${name}>${name}</a>` : name}</td>
      <td class="number share">
        <span class="share-bar" aria-hidden="true"><i style=${{ width: `${(100 * total.interceptions) / most}%` }}></i></span>
        ${short(total.interceptions)}
      </td>
      <td class="number">${percent(total.failed, total.interceptions)}</td>
      <td class="number">${short(tokensIn(total.token_usage))}</td>
      <td class="number">${short(total.token_usage.output_tokens)}</td>
      <td class="number">${usd(total.cost_usd)}</td>
      <td class="number">${duration(total.first_byte_ms?.p50)}</td>
    </tr>
  `;
}
