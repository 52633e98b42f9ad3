/** Totals of calls by group: users, models and more, over time, compared with the time before. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { address } from "../../server/api.js";
import { chooser } from "../../bar/bar.js";
import { chosenRange, rangeParams, rangeText } from "../../bar/range.js";
import { plural, short } from "../../text/format.js";
import { chartRows, dimensionName, exactUsd, numberOf, SUBJECTS } from "../../charts/groups.js";
import { Chart } from "../../charts/chart.js";
import { Empty, StatsState } from "../../parts/states.js";
import { bucketOf, bucketsOf, presetRange } from "../../bar/ranges.js";
import { useResource } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { seesEverything, seesEveryone } from "../../frame/shell.js";
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
function queryOf(params, user, now) {
  const chosen = chosenRange(params, USUAL);
  const range = chosen.custom ?? presetRange(chosen.preset, chosen.tz, now);
  const of = Object.hasOwn(SUBJECTS, params.of) ? params.of : "calls";
  const { usual, orders } = SUBJECTS[of];
  const by = (params.by || usual[Number(seesEveryone(user))]).split(",").filter((name) => name && name !== "nothing");
  const compare = params.compare !== "no";
  const order = [params.order, "cost", "calls"].find((one) => orders.includes(one) && (compare || one !== "change"));
  return { chosen, tz: chosen.tz, range, of, by, order, q: params.q ?? "", compare };
}

export function Explore({ route, user }) {
  const { params } = route;
  const [now, setNow] = useState(() => Date.now());
  const [limit, setLimit] = useState(PAGE);
  const query = queryOf(params, user, now);
  const { range, tz, of, by, order, q } = query;
  useEffect(() => {
    setLimit(PAGE);
    setNow(Date.now());
  }, [JSON.stringify(params)]);
  const span = { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString(), tz };
  const common = { ...span, of, group_by: by.join(","), q, order_by: order };
  const wanted = { ...common, bucket: "all", limit, compare: query.compare ? "previous" : "" };
  const bucket = bucketOf(range);
  const table = useResource("stats", wanted, { withProgress: true });
  const drawn = useResource("stats", { ...common, bucket, limit: IN_CHART, compare: order === "change" ? "previous" : "" }, { withProgress: true });
  const choose = chooser(route);
  const error = table.error ?? drawn.error;
  const retry = () => {
    table.reload();
    drawn.reload();
  };
  const callsOf = (terms, from = range.from, to = range.to) =>
    href(SUBJECTS[of].view, "", { q: terms, single: of === "sessions" ? "show" : "", from: new Date(from).toISOString(), to: new Date(to).toISOString(), tz: params.tz });
  const csv = address("stats", { ...wanted, limit: MAX_GROUPS, format: "csv" });
  const isCurrent = table.data && table.data.of === of && table.data.group_by.join(",") === by.join(",");
  return html`
    <${ExploreBar} route=${route} query=${query} user=${user} csv=${csv} />
    <p class="quiet range-text">${`${rangeText(range, tz)}, ${tz}`}</p>
    <${StatsState} data=${table.data} isLoaded=${table.data} error=${error} retry=${retry} progress=${table.progress ?? drawn.progress} />
    ${isCurrent && !numberOf(table.data.total) && html`<${Empty} title=${`No ${SUBJECTS[of].name.toLowerCase()} in this time`}><p>Choose another range, or take a filter away.</p><//>`}
    ${isCurrent &&
    numberOf(table.data.total) > 0 &&
    html`
      ${drawn.data?.of === of && html`<${Drawn} stats=${drawn.data} range=${range} tz=${tz} bucket=${bucket} q=${q} callsOf=${callsOf} onZoom=${(from, to) => choose({ range: "", from: new Date(from).toISOString(), to: new Date(to).toISOString() })} />`}
      <${ExploreTable} stats=${table.data} by=${by} q=${q} fares=${seesEverything(user) && rangeParams(params, USUAL)} callsOf=${callsOf} onOrder=${(order) => choose({ order })} />
      ${table.data.count > table.data.groups.length &&
      table.data.groups.length < MAX_GROUPS &&
      html`<p class="more"><button type="button" onClick=${() => setLimit(Math.min(MAX_GROUPS, limit * 4))}>Show more</button> <span class="quiet">${`${table.data.groups.length} of ${plural(table.data.count, "group")}`}</span></p>`}
      ${of === "calls" && html`<${Speed} total=${table.data.total} histograms=${table.data.histograms} />`}
    `}
  `;
}

function Drawn({ stats, range, tz, bucket, q, callsOf, onZoom }) {
  const order = stats.order_by; // the address may be ahead of what was read
  const { pick, format, nothing, ...amount } = AMOUNTS[order] ?? AMOUNTS[order === "change" && stats.total.cost_usd != null ? "cost" : "calls"];
  const title = pick === numberOf ? SUBJECTS[stats.of].name : amount.title;
  if (stats.bucket !== bucket) return null; // of the range before
  const bars = { from: Date.parse(stats.from), to: Date.parse(stats.to) };
  const { at, drawn, step } = bucketsOf(bars, bucket, tz);
  const rows = chartRows(stats, at, pick);
  const real = (seconds, isEnd) => {
    const index = drawn.findLastIndex((one) => one <= seconds + 1);
    return isEnd ? (at[index + 1] ?? bars.to) : at[Math.max(0, index)];
  };
  const onPick = (from) => go(callsOf(q, real(from), real(from, true)));
  return html`<div class="charts one">
    <${Chart} title=${`${title}, by ${stats.group_by.map(dimensionName).join(" and ").toLowerCase() || "all"}`} kind="bars" times=${drawn} step=${step} rows=${rows} format=${format} nothing=${nothing} onPick=${onPick} onZoom=${(from, to) => onZoom(real(from), real(to, true))} />
    ${isWider(bars, range) && html`<p class="quiet">${`The bars are whole ${bucket}s, ${rangeText(bars, tz)}: they have more than the table.`}</p>`}
  </div>`;
}

/** Whether bars have more of the past than a range. */
function isWider(bars, range) {
  return bars.from < range.from || (bars.to > range.to && range.to < Date.now());
}
