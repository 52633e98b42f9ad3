/** Totals of calls by group: users, models and more, over time, compared with the time before. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { chooser } from "../../bar/bar.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { bucketOf, bucketsOf, lengthOf, timesBetween } from "../../bar/ranges.js";
import { Chart } from "../../charts/chart.js";
import { chartRows, dimensionName, exactUsd, numberOf, SUBJECTS } from "../../charts/groups.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Empty, StatsState } from "../../parts/states.js";
import { address } from "../../server/api.js";
import { useResource } from "../../server/resource.js";
import { plural, short } from "../../text/format.js";
import { ExploreBar } from "./explore_bar.js";
import { ExploreTable } from "./explore_table.js";
import { Speed } from "./speed.js";

const PAGE = 50;
const USUAL = "7d";
const MAX_GROUPS = 1000;
const IN_CHART = 7;
const AMOUNTS = {
  cost: { title: "Cost", pick: ({ cost_usd: cost }) => cost, format: exactUsd, nothing: "No call has a known price." },
  calls: { title: "Calls", pick: numberOf, format: short, nothing: "No calls." },
  tokens: { title: "Tokens", pick: ({ tokens }) => tokens, format: short, nothing: "No tokens were reported." },
  failed: { title: "Failed calls", pick: ({ failed }) => failed, format: short, nothing: "No call failed." },
};

/** The query of an address. */
function queryOf(params, user) {
  const chosen = chosenRange(params, USUAL);
  const of = Object.hasOwn(SUBJECTS, params.of) ? params.of : "calls";
  const { usual, orders } = SUBJECTS[of];
  const by = (params.by || usual[Number(seesEveryone(user))]).split(",").filter((name) => name && name !== "nothing");
  const compare = params.compare !== "no";
  const order = [params.order, "cost", "calls"].find((one) => orders.includes(one) && (compare || one !== "change"));
  return { chosen, tz: chosen.tz, of, by, order, q: params.q ?? "", compare };
}

export default function Explore({ route, user }) {
  const { params } = route;
  const [limit, setLimit] = useState(PAGE);
  const query = queryOf(params, user);
  const { chosen, tz, of, by, order, q } = query;
  useEffect(() => {
    setLimit(PAGE);
  }, [JSON.stringify(params)]);
  const common = { ...asked(chosen), tz, of, group_by: by.join(","), q, order_by: order };
  const wanted = { ...common, bucket: "all", limit, compare: query.compare ? "previous" : "" };
  const bucket = bucketOf(lengthOf(chosen));
  const table = useResource("stats", wanted, { withProgress: true });
  const drawn = useResource("stats", { ...common, bucket, limit: IN_CHART, compare: order === "change" ? "previous" : "" }, { withProgress: true });
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
      ${drawn.data?.of === of && html`<${Drawn} stats=${drawn.data} range=${range} bucket=${bucket} q=${q} callsOf=${callsOf} onZoom=${({ from, to }) => choose({ range: "", from: new Date(from).toISOString(), to: new Date(to).toISOString() })} />`}
      <${ExploreTable} stats=${table.data} by=${by} q=${q} fares=${seesEverything(user) && rangeParams(params, USUAL)} callsOf=${callsOf} onOrder=${(order) => choose({ order })} />
      ${table.data.count > table.data.groups.length &&
      table.data.groups.length < MAX_GROUPS &&
      html`<p class="more"><button type="button" onClick=${() => setLimit(Math.min(MAX_GROUPS, limit * 4))}>Show more</button> <span class="quiet">${`${table.data.groups.length} of ${plural(table.data.count, "group")}`}</span></p>`}
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
  return html`<div class="charts one">
    <${Chart} title=${`${title}, by ${stats.group_by.map(dimensionName).join(" and ").toLowerCase() || "all"}`} kind="bars" times=${drawn} step=${step} rows=${rows} format=${format} nothing=${nothing} onPick=${onPick} onZoom=${(...ends) => onZoom(between(...ends))} />
    ${isWider(bars, range) && html`<p class="quiet">${`The bars are whole ${bucket}s, ${rangeText(bars, stats.tz)}: they have more than the table.`}</p>`}
  </div>`;
}

/** Whether bars have more of the past than a range. */
function isWider(bars, range) {
  return bars.from < range.from || (bars.to > range.to && range.to < Date.now());
}
