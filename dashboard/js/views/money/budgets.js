/** Every budget: what is spent of it, at which pace, and when it will be used up. */

import { html } from "htm/preact";
import { href } from "../../frame/router.js";
import { Table, Track } from "../../parts/figures.js";
import { End } from "../../parts/list.js";
import { usePages } from "../../server/resource.js";
import { day, plural, usd } from "../../text/format.js";
import { periodText, sourceText } from "../../text/limits_text.js";

const PAGE = 100;

export default function Budgets() {
  const pages = usePages("budgets", {}, "offset", PAGE);
  return html`
    <p role="status" class="quiet range-text">${pages.count ? `${plural(pages.count, "budget")}, most spent first` : ""}</p>
    ${pages.rows.length > 0 &&
    html`
      <section class="card">
        <${Table} label="Budgets" heads=${html`<th>Whose</th><th>Spent</th><th class="number">Budget</th><th class="number">A day, of late</th><th>Ends</th><th>From</th>`}>
          ${pages.rows.map((budget) => html`<${Row} key=${budget.id} budget=${budget} />`)}
        <//>
      </section>
    `}
    <${End} pages=${pages}><p class="quiet">There is no budget. <a href=${href("policies", "everyone")}>Policies</a> set them.</p><//>
  `;
}

function Row({ budget }) {
  const { used_usd: used, limit_usd: limit, period, pace_usd: pace, source, shadow } = budget;
  return html`
    <tr>
      <td><${Whose} budget=${budget} /></td>
      <td>${usd(used)}<${Track} label="Spent" value=${used} max=${limit} isLimit /></td>
      <td class="number">${usd(limit)} ${periodText(period)}</td>
      <td class="number">${usd(pace)}</td>
      <td class=${budget.used_up_at ? "bad" : "quiet"}>${endOf(budget)}</td>
      <td class="quiet">${sourceText(source)}${shadow && ", only counts"}</td>
    </tr>
  `;
}

function Whose({ budget: { of, name, source } }) {
  if (source.level === "everyone" && of !== "user") return html`<a href=${href("policies", "everyone")}>Everyone together</a>`;
  if (of === "token") return html`<a href=${href("policies", `tokens/${name}`)}>Token <code>${name}</code></a>`;
  return of === "group" ? html`<a href=${href("groups", name)}>Group ${name}</a>` : html`<a href=${href("usage", name)}>${name}</a>`;
}

/** When it is used up, or starts again. */
function endOf({ used_usd: used, limit_usd: limit, used_up_at: end, resets_at: resets }) {
  const again = resets && day(new Date(resets));
  if (used >= limit) return again ? `Used up, until ${again}` : "Used up";
  if (end) return `Used up on ${day(new Date(end))}`;
  return again ? `Starts again on ${again}` : "";
}
