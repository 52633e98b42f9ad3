/** Totals of calls by group: users, models and more, over time, compared with the time before. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { Bar, Choice, chooser } from "../../bar/bar.js";
import { asked, bucketOf, chosenRange, lengthOf, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { Chart } from "../../charts/chart.js";
import { chartRows, dimensionName, numberOf, SUBJECTS, tagDimension } from "../../charts/statistics.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { Empty, Pending, Unrecorded } from "../../parts/states.js";
import { address } from "../../server/api.js";
import { useKept, useResource } from "../../server/resource.js";
import { duration, plural, short, UNKNOWN, usd } from "../../text/format.js";
import { dimensionsOf } from "../../text/vocabulary.js";
import { Groups } from "./groups.js";

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

/** The query of an address. */
function queryOf(params, user) {
  const chosen = chosenRange(params, USUAL);
  const of = Object.hasOwn(SUBJECTS, params.of) ? params.of : "calls";
  const { usual, orders } = SUBJECTS[of];
  const by = (params.by || usual[Number(seesEveryone(user))]).split(",").filter((name) => name && name !== "nothing");
  const order = [params.order, "cost", "calls"].find((one) => orders.includes(one));
  return { chosen, tz: chosen.tz, of, by, order, q: params.q ?? "", as: of === "refusals" ? "" : (params.as ?? "") };
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
  const wanted = { ...common, bucket: "all", limit, priced_as: as, compare: "previous" };
  const bucket = bucketOf(lengthOf(chosen));
  const table = useResource("stats", wanted);
  const drawn = useResource("stats", { ...common, group_by: by[0] ?? "", bucket, limit: IN_CHART, compare: order === "change" ? "previous" : "" });
  const choose = chooser(route);
  const retry = () => {
    table.reload();
    drawn.reload();
  };
  const range = table.data && timesOf(table.data);
  const callsOf = (terms, from = table.data.from, to = table.data.to) => href(SUBJECTS[of].view, "", { q: terms, from, to, tz: params.tz });
  const csv = address("stats", { ...wanted, limit: MAX_GROUPS, format: "csv" });
  const isCurrent = table.data && table.data.of === of && table.data.group_by.join(",") === by.join(",");
  return html`
    <${ExploreBar} route=${route} query=${query} user=${user} csv=${csv} />
    <p class="quiet range-text">${range ? `${rangeText(range, tz)}, ${tz}` : ""}</p>
    <${Pending} data=${table.data} error=${table.error ?? drawn.error} retry=${retry} progress=${table.progress ?? drawn.progress} />
    <${Unrecorded} data=${table.data} />
    ${isCurrent && !numberOf(table.data.total) && html`<${Empty} title=${`No ${SUBJECTS[of].name.toLowerCase()} in this time`}><p>Choose another range, or take a filter away.</p><//>`}
    ${isCurrent &&
    numberOf(table.data.total) > 0 &&
    html`
      <div class="charts one">${drawn.data?.of === of && html`<${Drawn} stats=${drawn.data} range=${range} bucket=${bucket} onPick=${(from, to) => go(callsOf(q, from, to))} onZoom=${(from, to) => choose({ range: "", from, to })} />`}</div>
      <${Groups} stats=${table.data} q=${q} as=${as} fares=${seesEverything(user) && rangeParams(params, USUAL)} callsOf=${callsOf} onOrder=${(order) => choose({ order })} />
      ${table.data.count > table.data.groups.length &&
      table.data.groups.length < MAX_GROUPS &&
      html`<p class="toolbar flow"><button type="button" onClick=${() => setLimit(Math.min(MAX_GROUPS, limit * 4))}>Show more</button> <span class="quiet">${`${table.data.groups.length} of ${plural(table.data.count, "group")}`}</span></p>`}
      ${of === "calls" && html`<section class="card apart"><h2>How fast</h2><${Speed} total=${table.data.total} /></section>`}
    `}
  `;
}

function Drawn({ stats, range, bucket, onPick, onZoom }) {
  const order = stats.order_by; // the address may be ahead of what was read
  const { pick, format, nothing, ...amount } = AMOUNTS[order] ?? AMOUNTS[order === "change" && stats.total.cost_usd != null ? "cost" : "calls"];
  const title = pick === numberOf ? SUBJECTS[stats.of].name : amount.title;
  if (stats.bucket !== bucket) return null; // of the range before
  const bars = timesOf(stats);
  return html`
    <${Chart} title=${`${title}, by ${stats.group_by.map(dimensionName).join(" and ").toLowerCase() || "all"}`} kind="bars" stats=${stats} rows=${chartRows(stats, pick)} format=${format} nothing=${nothing} onPick=${onPick} onZoom=${onZoom} />
    ${isWider(bars, range) && html`<p class="quiet">${`The bars are whole ${bucket}s, ${rangeText(bars, stats.tz)}: they have more than the table.`}</p>`}
  `;
}

/** Whether bars have more of the past than a range. */
function isWider(bars, range) {
  return bars.from < range.from || (bars.to > range.to && range.to < Date.now());
}

/** `csv` is the address of the table as CSV. */
function ExploreBar({ route, query, user, csv }) {
  const { of, by, chosen } = query;
  const choose = chooser(route);
  const [typed, setTyped] = useState(null); // figures that come meanwhile draw the field anew
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
      <${Choice} label="What" none="" value=${of} options=${Object.entries(SUBJECTS).map(([name, subject]) => [name, subject.name])} onChoose=${show} />
      <${Choice} label="Group by" none="Nothing" value=${by[0] ?? ""} options=${dimensions} onChoose=${(name) => put(0, name)} />
      <${Choice} label="and by" none="and nothing" value=${by[1] ?? ""} options=${dimensions} onChoose=${(name) => put(1, name)} />
      ${of !== "refusals" && html`<input type="text" class="as" autocomplete="off" spellcheck=${false} aria-label="The same tokens on" placeholder="The same tokens on …" list="models" value=${typed ?? query.as} onInput=${({ target }) => setTyped(target.value)} onChange=${({ target }) => (choose({ as: target.value.trim() }), setTyped(null))} />`}
      <datalist id="models">${(models?.groups ?? []).map(({ group: { provider, model } }) => html`<option key=${provider + model} value=${`${provider}/${model}`} />`)}</datalist>
      <a class="button" href=${csv} download="explore.csv">CSV</a>
    <//>
  `;
}

const PARTS = ["p50", "p95", "p99"];
const ROWS = [
  ["Whole call", "duration_ms", duration],
  ["First byte", "first_byte_ms", duration],
  ["Of that the bridge", "bridge_ms", duration],
  ["Tokens a second", "tokens_per_second", short],
];

/** Whether it is the bridge or the provider that takes its time; `total` is as `/stats` has it. */
function Speed({ total }) {
  return html`
    <${Table} label="How fast" heads=${html`<th>Time</th><th class="number">Median</th><th class="number">p95</th><th class="number">p99</th>`}>
      ${ROWS.map(
        ([name, field, format]) => html`
          <tr key=${field}>
            <td>${name}</td>
            ${PARTS.map((part) => html`<td key=${part} class="number">${total[field] ? format(total[field][part]) : UNKNOWN}</td>`)}
          </tr>
        `,
      )}
    <//>
  `;
}
