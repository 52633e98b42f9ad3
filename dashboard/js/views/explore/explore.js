/** Totals of calls by group: users, models and more, over time, compared with the time before. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { Bar, Choice, chooser } from "../../bar/bar.js";
import { withTerm } from "../../bar/query.js";
import { asked, bucketOf, bucketsOf, chosenRange, lengthOf, rangeParams, rangeText, timesBetween, timesOf } from "../../bar/range.js";
import { Chart } from "../../charts/chart.js";
import { changeOf, chartRows, compared, dimensionName, numberOf, pageOf, searchOfGroup, SUBJECTS, tagDimension, termOf, valueName } from "../../charts/statistics.js";
import { IN_DEMO } from "../../frame/demo.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { Empty, StatsState } from "../../parts/states.js";
import { address } from "../../server/api.js";
import { useKept, useResource } from "../../server/resource.js";
import { duration, lateBy, percent, plural, short, UNKNOWN, usd, whole } from "../../text/format.js";
import { dimensionsOf } from "../../text/vocabulary.js";
import { Speed } from "./speed.js";

const PAGE = 50;
const USUAL = "7d";
const MAX_GROUPS = 1000;
const IN_CHART = 7;
const AMOUNTS = {
  cost: { title: "Cost", pick: ({ cost_usd: cost }) => cost, format: usd, nothing: "No call has a known price." },
  calls: { title: "Calls", pick: numberOf, format: short, nothing: "No calls." },
  tokens: { title: "Tokens", pick: ({ tokens }) => tokens, format: short, nothing: "No tokens were reported." },
  failed: { title: "Failed calls", pick: ({ failed }) => failed, format: short, nothing: "No call failed." },
};
const FOR_ALL = ["user", "group"];
const MAX_NAMES = 1000;
const EXAMPLE = "words, model:gpt-5 tag:project=apollo -status:failed";

const EXAMPLES = { refusals: "rule:rate provider:openai status:429" };
const HEADINGS = { failed: "Failed", tokens: "Tokens", cost: "Cost", change: "Change", cache: "Cache", p95: "p95" };

/** The query of an address. */
function queryOf(params, user) {
  const chosen = chosenRange(params, USUAL);
  const of = Object.hasOwn(SUBJECTS, params.of) ? params.of : "calls";
  const { usual, orders } = SUBJECTS[of];
  const by = (params.by || usual[Number(seesEveryone(user))]).split(",").filter((name) => name && name !== "nothing");
  const compare = params.compare !== "no";
  const order = [params.order, "cost", "calls"].find((one) => orders.includes(one) && (compare || one !== "change"));
  return { chosen, tz: chosen.tz, of, by, order, q: params.q ?? "", compare, as: of === "refusals" ? "" : (params.as ?? "") };
}

export default function Explore({ route, user }) {
  const { params } = route;
  const [limit, setLimit] = useState(PAGE);
  const query = queryOf(params, user);
  const { chosen, tz, of, by, order, q, as } = query;
  useEffect(() => {
    setLimit(PAGE);
  }, [JSON.stringify(params)]);
  const common = { ...asked(chosen), tz, of, group_by: by.join(","), q, order_by: order };
  const wanted = { ...common, bucket: "all", limit, priced_as: as, compare: query.compare ? "previous" : "" };
  const bucket = bucketOf(lengthOf(chosen));
  const table = useResource("stats", wanted, { withProgress: true });
  const drawn = useResource("stats", { ...common, group_by: by[0] ?? "", bucket, limit: IN_CHART, compare: order === "change" ? "previous" : "" }, { withProgress: true });
  const choose = chooser(route);
  const error = table.error ?? drawn.error;
  const retry = () => {
    table.reload();
    drawn.reload();
  };
  const range = table.data && timesOf(table.data);
  const callsOf = (terms, from = range.from, to = range.to) =>
    href(SUBJECTS[of].view, "", { q: terms, from: new Date(from).toISOString(), to: new Date(to).toISOString(), tz: params.tz });
  const csv = address("stats", { ...wanted, limit: MAX_GROUPS, format: "csv" });
  const isCurrent = table.data && table.data.of === of && table.data.group_by.join(",") === by.join(",");
  return html`
    <${ExploreBar} route=${route} query=${query} user=${user} csv=${csv} />
    <p class="quiet range-text">${range ? `${rangeText(range, tz)}, ${tz}` : ""}</p>
    <${StatsState} data=${table.data} isLoaded=${table.data} error=${error} retry=${retry} progress=${table.progress ?? drawn.progress} />
    ${isCurrent && !numberOf(table.data.total) && html`<${Empty} title=${`No ${SUBJECTS[of].name.toLowerCase()} in this time`}><p>Choose another range, or take a filter away.</p><//>`}
    ${isCurrent &&
    numberOf(table.data.total) > 0 &&
    html`
      <div class="charts one">${drawn.data?.of === of && html`<${Drawn} stats=${drawn.data} range=${range} bucket=${bucket} q=${q} callsOf=${callsOf} onZoom=${({ from, to }) => choose({ range: "", from: new Date(from).toISOString(), to: new Date(to).toISOString() })} />`}</div>
      <${ExploreTable} stats=${table.data} by=${by} q=${q} as=${as} fares=${seesEverything(user) && rangeParams(params, USUAL)} callsOf=${callsOf} onOrder=${(order) => choose({ order })} />
      ${table.data.count > table.data.groups.length &&
      table.data.groups.length < MAX_GROUPS &&
      html`<p class="toolbar flow"><button type="button" onClick=${() => setLimit(Math.min(MAX_GROUPS, limit * 4))}>Show more</button> <span class="quiet">${`${table.data.groups.length} of ${plural(table.data.count, "group")}`}</span></p>`}
      ${of === "calls" && html`<${Speed} total=${table.data.total} histograms=${table.data.histograms} />`}
    `}
  `;
}

function Drawn({ stats, range, bucket, q, callsOf, onZoom }) {
  const order = stats.order_by; // the address may be ahead of what was read
  const { pick, format, nothing, ...amount } = AMOUNTS[order] ?? AMOUNTS[order === "change" && stats.total.cost_usd != null ? "cost" : "calls"];
  const title = pick === numberOf ? SUBJECTS[stats.of].name : amount.title;
  if (stats.bucket !== bucket) return null; // of the range before
  const bars = timesOf(stats);
  const { at, drawn, step } = bucketsOf(stats);
  const rows = chartRows(stats, at, pick);
  const between = (from, to) => timesBetween({ at, drawn }, from, to, bars.to);
  const onPick = (...ends) => {
    const { from, to } = between(...ends);
    go(callsOf(q, from, to));
  };
  return html`
    <${Chart} title=${`${title}, by ${stats.group_by.map(dimensionName).join(" and ").toLowerCase() || "all"}`} kind="bars" times=${drawn} step=${step} rows=${rows} format=${format} nothing=${nothing} onPick=${onPick} onZoom=${(...ends) => onZoom(between(...ends))} />
    ${isWider(bars, range) && html`<p class="quiet">${`The bars are whole ${bucket}s, ${rangeText(bars, stats.tz)}: they have more than the table.`}</p>`}
  `;
}

/** Whether bars have more of the past than a range. */
function isWider(bars, range) {
  return bars.from < range.from || (bars.to > range.to && range.to < Date.now());
}

/** `csv` is the address of the table as CSV. */
function ExploreBar({ route, query, user, csv }) {
  const { of, by, chosen, compare } = query;
  const choose = chooser(route);
  const tags = useKept("tags", { limit: MAX_NAMES }) ?? [];
  const models = useKept("stats", { range: "30d", group_by: "provider,model", limit: MAX_NAMES });
  const names = [...dimensionsOf(of).filter((name) => seesEveryone(user) || !FOR_ALL.includes(name)), ...(of === "calls" ? tags.map(tagDimension) : [])];
  const dimensions = [...new Set([...names, ...by])].map((name) => [name, dimensionName(name)]);
  // Searches for refusals have keys of their own.
  const show = (next) => choose({ of: next === "calls" ? "" : next, by: "", order: "", ...([of, next].includes("refusals") && { q: "" }) });
  const put = (index, name) => {
    const next = [by[0] ?? "", by[1] ?? ""];
    next[index] = name;
    choose({ by: next.filter((one, at) => one && next.indexOf(one) === at).join(",") || "nothing" });
  };
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} search=${{ example: EXAMPLES[of] ?? EXAMPLE, known: of !== "refusals" }}>
      <select aria-label="What" value=${of} onChange=${(event) => show(event.target.value)}>
        ${Object.entries(SUBJECTS).map(([name, subject]) => html`<option key=${name} value=${name}>${subject.name}</option>`)}
      </select>
      <${Choice} label="Group by" none="Nothing" value=${by[0] ?? ""} options=${dimensions} onChoose=${(name) => put(0, name)} />
      <${Choice} label="and by" none="and nothing" value=${by[1] ?? ""} options=${dimensions} onChoose=${(name) => put(1, name)} />
      <button type="button" aria-pressed=${compare} onClick=${() => choose({ compare: compare ? "no" : "" })}>Compare</button>
      ${of !== "refusals" && html`<input type="text" class="as" autocomplete="off" spellcheck=${false} aria-label="The same tokens on" placeholder="The same tokens on …" list="models" value=${query.as} onChange=${({ target }) => choose({ as: target.value.trim() })} />`}
      <datalist id="models">${(models?.groups ?? []).map(({ group: { provider, model } }) => html`<option key=${provider + model} value=${`${provider}/${model}`} />`)}</datalist>
      <a class="button" href=${csv} download="explore.csv">CSV</a>
    <//>
  `;
}

/** `as` is the model by whose prices the tokens are priced too; `fares` is the range for the pages of providers, false for who may not see these. */
function ExploreTable({ stats, by, q, as, fares, callsOf, onOrder }) {
  const { of, groups, total, previous, order_by: order } = stats; // the address may be ahead of what was read
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
    <section class="card groups">
      <h2>${by.map(dimensionName).join(" and ") || `All ${title.toLowerCase()}`}</h2>
      <${Table} label="Groups" kind="breakdown" heads=${heads} foot=${foot}>
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
  return html` <a class="fares" href=${href("providers", id, { model, ...range })} title=${text} aria-label=${text}></a>`;
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
