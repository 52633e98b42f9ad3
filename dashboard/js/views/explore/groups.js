/** Groups of statistics in figures, compared with the time before; each leads to its calls. */

import { html } from "htm/preact";
import { withTerm } from "../../bar/query.js";
import { changeOf, compared, dimensionName, numberOf, pageOf, searchOfGroup, SUBJECTS, termOf, valueName } from "../../charts/statistics.js";
import { IN_DEMO } from "../../frame/demo.js";
import { href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { duration, lateBy, percent, UNKNOWN, usd, whole } from "../../text/format.js";

const HEADINGS = { failed: "Failed", tokens: "Tokens", cost: "Cost", change: "Change", cache: "Cache", p95: "p95" };

/**
 * `stats` are as `/stats` has them, `q` is the search that they are of, `as` the model by whose prices the tokens are priced too. `fares`
 * is the range for the pages of providers, false for who may not see these; `callsOf` has the address of what a search finds.
 */
export function Groups({ stats, q, as, fares, callsOf, onOrder }) {
  const { of, groups, group_by: by, total, previous, order_by: order } = stats; // the address may be ahead of what was read
  const { orders, name: title } = SUBJECTS[of];
  const common = { of, whole: total, fares, callsOf };
  const heading = (name) => html`<th key=${name} class="number" aria-sort=${order === name ? "descending" : undefined}>
    <button type="button" class="plain" onClick=${() => onOrder(name)}>${HEADINGS[name] ?? title}${order === name && html`<span aria-hidden="true"> ↓</span>`}</button>
  </th>`;
  const heads = html`
    ${by.map((one) => html`<th key=${one}>${dimensionName(one)}</th>`)}
    ${orders.filter((one) => previous || one !== "change").map(heading)}
    ${total.priced_as_usd !== undefined && html`<th class="number">On ${as.replace(/.*\//, "")}</th>`}
  `;
  const foot = html`
    ${by.map((one, index) => (index === 0 ? html`<th key=${one} scope="row">All</th>` : html`<td key=${one}></td>`))}
    <${Figures} total=${total} previous=${previous?.total} q=${q} ...${common} />
  `;
  return html`
    <section class="card">
      <h2>${by.map(dimensionName).join(" and ") || `All ${title.toLowerCase()}`}</h2>
      <${Table} label="Groups" kind="groups" heads=${heads} foot=${foot}>
        ${groups.map((one) => html`<${Group} key=${JSON.stringify(one.group)} one=${one} by=${by} q=${q} ...${common} />`)}
      <//>
      <${Missing} total=${total} late=${IN_DEMO ? 0 : lateBy(stats.counted_until)} />
    </section>
  `;
}

function Group({ one, by, q, ...common }) {
  const { group, total, previous } = one;
  return html`<tr>
    ${by.map((name) => html`<td key=${name}><${Value} by=${name} value=${group[name]} q=${q} ...${common} /><${Page} page=${common.fares && pageOf(name, group)} range=${common.fares} /></td>`)}
    <${Figures} total=${total} previous=${previous} q=${searchOfGroup(q, group, by, common.of)} ...${common} />
  </tr>`;
}

function Value({ of, by, value, q, callsOf }) {
  const name = valueName(value, by);
  if (by === "session" && value) return html`<a href=${href("sessions", value)}>${name.slice(0, 8)}</a>`;
  const term = termOf(by, value, of);
  return term ? html`<a href=${callsOf(withTerm(q, ...term))} title=${name}>${name}</a>` : name;
}

/** The way to how a provider or a model of it fares. */
function Page({ page, range }) {
  if (!page) return null;
  const { id, model } = page;
  const text = `How ${model || id} fares`;
  return html` <a class="fares quiet" href=${href("providers", id, { model, ...range })} title=${text} aria-label=${text}>↗</a>`;
}

/** `q` finds the calls; it is null where no search does. */
function Figures({ of, total, previous, whole: all, q, callsOf }) {
  const link = (text, terms) => (terms === null ? text : html`<a href=${callsOf(terms)}>${text}</a>`);
  const { interceptions, failed, tokens, cache } = total;
  const share = total !== all && html`<small class="quiet">${percent(compared(total, all), compared(all, all))}</small> `;
  const change = previous && html`<td class="number">${changeOf(compared(total, all), compared(previous, all))}</td>`;
  const isOfCost = all.cost_usd != null;
  const number = html`<td class="number">${!isOfCost && share}${link(whole(numberOf(total)), q)}</td>`;
  if (!cache) return html`${number}${change}`;
  return html`
    ${number}
    <td class="number">${failed ? link(`${whole(failed)} (${percent(failed, interceptions)})`, q === null ? null : withTerm(q, "status", "failed")) : "0"}</td>
    <td class="number">${whole(tokens)}</td>
    <td class="number">${isOfCost && share}${link(usd(total.cost_usd), q)}</td>
    ${change}
    <td class="number" title=${cache.saved_usd === null ? undefined : `saved ${usd(cache.saved_usd)}, lost ${usd(cache.lost_usd)}`}>${cache.rate === null ? UNKNOWN : percent(cache.rate, 1)}</td>
    ${of === "calls" && html`<td class="number">${duration(total.duration_ms?.p95)}</td>`}
    ${total.priced_as_usd !== undefined && html`<td class="number">${usd(total.priced_as_usd)}</td>`}
  `;
}

/** What the sums are without. */
function Missing({ total, late }) {
  const { cache, unpriced, no_usage: none, interceptions } = total;
  if (!cache) return null;
  const parts = [
    cache.saved_usd !== null && `The prompt cache saved ${usd(cache.saved_usd)} and lost ${usd(cache.lost_usd)}.`,
    unpriced > 0 && `${percent(unpriced, interceptions)} of calls have no known price.`,
    none > 0 && `${percent(none, interceptions)} of calls report no tokens.`,
    late > 0 && `Calls of the last ${duration(late)} are still to be counted.`,
  ];
  return html`<p class="quiet">${parts.filter(Boolean).join(" ")}</p>`;
}
