/** What happened over time, at a glance. */

import { html } from "htm/preact";
import { Bar, chooser } from "../../bar/bar.js";
import { terms, valueOf, withTerm } from "../../bar/query.js";
import { asked, bucketOf, chosenRange, lengthOf, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { Chart } from "../../charts/chart.js";
import { chartRows, dimensionName, earlier, placed, termOf } from "../../charts/statistics.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Reasons, Segmented, TOKENS } from "../../parts/figures.js";
import { Empty, Pending, Unrecorded } from "../../parts/states.js";
import { useKept, useResource } from "../../server/resource.js";
import { duration, plural, short, usd } from "../../text/format.js";
import { ERRORS, unusual } from "../../text/unusual.js";
import { endTitle, why } from "../../text/vocabulary.js";
import { Groups } from "../explore/groups.js";
import { Tiles } from "./tiles.js";

const EVERY_MS = 15_000;
const EMPTY_MS = 2000;
const USUAL = "24h";
const EXAMPLE = "words, model:gpt-5 client:codex tag:project=apollo";
const SPLITS = ["", "model", "provider", "client", "user", "group", "token"];
const KINDS = TOKENS.map(([key, name], index) => ({ name, pick: ({ token_usage: usage }) => usage[key], colour: `series-${index + 1}` }));
const ENDS = [
  { name: "Completed", pick: ({ interceptions, failed }) => interceptions - failed, colour: "series-1", status: "completed" },
  { name: "Failed", pick: ({ failed }) => failed, colour: "bad-mark", status: "failed" },
];
const CALLS = ({ interceptions }) => interceptions;
const TOKENS_IN_ALL = ({ tokens }) => tokens;
const COST = ({ cost_usd: cost }) => cost ?? 0;
const QUANTILES = ["p50", "p95", "p99"].map((name, index) => ({
  name,
  pick: ({ first_byte_ms: first }) => first?.[name] ?? null,
  colour: `series-${[1, 3, 7][index]}`,
}));
const MAX_GROUPS = 12;

export default function Overview({ route, user }) {
  const { params } = route;
  const { q = "", by = "" } = params;
  const chosen = chosenRange(params, USUAL);
  const { tz } = chosen;
  // A search may have to read calls one by one, so it is not repeated by itself; nor is what has ended.
  const every = (data) => {
    if (q || Date.parse(data?.to) <= Date.now()) return 0;
    return data && !data.total.interceptions ? EMPTY_MS : EVERY_MS;
  };
  const query = { ...asked(chosen), tz, bucket: bucketOf(lengthOf(chosen)), q };
  const all = useResource("stats", { ...query, compare: "previous" }, { every });
  const split = useResource("stats", { ...query, group_by: by || "model", order_by: "cost", limit: MAX_GROUPS }, { every });
  const refused = useResource(isOfUsers(q) ? "stats" : null, { ...query, of: "refusals", bucket: "all" }, { every });
  const choose = chooser(route);
  const retry = () => {
    all.reload();
    split.reload();
    refused.reload();
  };
  const range = all.data && timesOf(all.data);
  // Whole buckets: what a response counts.
  const callsOf = (found, from = all.data.from, to = all.data.to, view = "interceptions") => href(view, "", { q: found, from, to, tz: params.tz });
  const drill = (terms, ...times) => callsOf(Object.entries(terms).reduce((found, [key, value]) => withTerm(found, key, value), q), ...times);
  const refusals = isOfUsers(q) && refused.data && { total: refused.data.total.refusals, link: all.data && callsOf(withTerm("", "user", valueOf(q, "user")), undefined, undefined, "refusals") };
  const explore = (order) => href("explore", "", { q, by: by || "model", order, ...rangeParams(params, USUAL) });
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} search=${{ example: EXAMPLE, known: true }}>
      <${Segmented} label="Split by" options=${SPLITS.filter((name) => name !== "user" || seesEveryone(user)).map((name) => [name, name ? dimensionName(name) : "All"])} value=${by} onChoose=${(name) => choose({ by: name })} />
    <//>
    <p class="quiet range-text">${range ? `${rangeText({ ...range, to: Math.min(range.to, Date.now()) }, tz)}, ${tz}` : ""}${range && all.data.previous?.total.interceptions > 0 && `, compared with ${rangeText(timesOf(all.data.previous), tz)}`}</p>
    ${!q && seesEveryone(user) && html`<${Unusual} tz=${tz} />`}
    <${Pending} data=${all.data && split.data} error=${all.error ?? split.error} retry=${retry} progress=${all.progress ?? split.progress} />
    <${Unrecorded} data=${all.data} />
    ${all.data && split.data && !all.data.total.interceptions && html`<${NoCalls} isFiltered=${Boolean(q)} isOwner=${user.role === "owner"} refusals=${refusals} />`}
    ${all.data?.total.interceptions > 0 &&
    split.data &&
    html`
      <${Tiles} figures=${all.data.total} previous=${all.data.previous?.total} drill=${drill} sessions=${href("sessions", "", { q, order: "lost", ...rangeParams(params, USUAL) })} prices=${seesEverything(user) && href("prices")} />
      <${Charts} all=${all.data} split=${by && split.data} drill=${drill} onZoom=${(from, to) => choose({ range: "", from, to })} />
      <div class="pair">
        <${Groups} stats=${split.data} q=${q} fares=${seesEverything(user) && rangeParams(params, USUAL)} callsOf=${callsOf} onOrder=${(order) => go(explore(order))} />
        <${Failures} failures=${all.data.total.failures} refusals=${refusals} drill=${drill} />
      </div>
    `}
  `;
}

/** What of today and yesterday is unlike the days before, with where to look; nothing where nothing is. */
function Unusual({ tz }) {
  const errors = useKept("errors", { q: `range:${ERRORS} tz:${tz}`, limit: 50 });
  const [models, users] = ["model", "user"].map((by) => useKept("stats", { range: "30d", bucket: "day", tz, group_by: by, order_by: by === "user" ? "cost" : "failed", limit: 20 }));
  const found = errors && models && users ? unusual(errors, models, users) : [];
  return found.map(({ text, link }) => html`<p class="loop unusual" key=${text}><a href=${link}>${text}</a></p>`);
}

/** Whether a search is one for refused calls too. */
function isOfUsers(q) {
  return terms(q).every(({ key }) => key === "user");
}

function NoCalls({ isFiltered, isOwner, refusals }) {
  return html`
    <${Empty} title="No calls in this time">
      ${isFiltered ? html`<p>Choose another range, or take a filter away.</p>` : html`<p>Choose a longer range, or <a href=${href("connect")}>connect a client</a> and make the first call.</p>`}
      ${isOwner && !isFiltered && html`<p>To look around first, <a href=${href("demo")}>fill in a demo company</a>: two months of calls, beside your own.</p>`}
    <//>
    ${refusals?.total > 0 && html`<section class="card"><${Refused} ...${refusals} /></section>`}
  `;
}

/** `split` is empty where there are to be no groups; with them every chart shows the same, each in a colour of its own. */
function Charts({ all, split, drill, onZoom }) {
  const common = { stats: all, onPick: (...times) => go(drill({}, ...times)), onZoom };
  const linked = (row) => {
    const term = row.group && termOf(split.group_by[0], row.group[split.group_by[0]]);
    return { ...row, href: term ? drill(Object.fromEntries([term])) : undefined };
  };
  const starts = all.buckets.map(Date.parse);
  const ofAll = (parts, blank) => parts.map(({ pick, ...part }) => ({ ...part, values: placed(all.points, starts, pick, blank), total: pick(all.total) }));
  const rows = (pick, parts, blank = 0) => (split ? chartRows(split, pick, blank).map(linked) : ofAll(parts, blank));
  const ends = ENDS.map((end) => ({ ...end, href: drill({ status: end.status }) }));
  return html`
    <div class="charts">
      <${Chart} ...${common} title="Calls" kind="bars" rows=${rows(CALLS, ends)} before=${earlier(all, CALLS)} format=${short} nothing="No calls." />
      <${Chart} ...${common} title="Tokens" kind="bars" rows=${rows(TOKENS_IN_ALL, KINDS)} before=${earlier(all, TOKENS_IN_ALL)} format=${short} nothing="No tokens were reported." />
      <${Chart} ...${common} title="Cost" kind="bars" rows=${split ? rows(COST) : chartRows(all, COST)} before=${earlier(all, COST)} format=${usd} nothing="No call has a known price." />
      <${Chart} ...${common} title=${split ? "Time to first byte, median" : "Time to first byte"} kind="lines" rows=${rows(QUANTILES[0].pick, QUANTILES, null)} format=${duration} nothing="No byte arrived." />
    </div>
  `;
}

/** `refusals` are how many calls were refused, and the address of their list; nothing where they are not known. */
function Failures({ failures, refusals, drill }) {
  const reasons = Object.entries(failures)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, another]) => another - one)
    .map(([end, count]) => ({ title: endTitle(end), count, meaning: why(end), link: drill({ status: "failed", end }) }));
  return html`
    <section class="card">
      <h2>Why calls failed</h2>
      ${reasons.length ? html`<${Reasons} reasons=${reasons} />` : html`<p class="quiet">None did.</p>`}
      ${refusals && html`<${Refused} ...${refusals} />`}
    </section>
  `;
}

/** Calls that the bridge refused in the same range: they are no interceptions, so no figure above has them. */
function Refused({ total, link }) {
  return html`<p>${total > 0 ? html`<a href=${link}>${plural(total, "call")}</a> besides` : "None besides"} ${total === 1 ? "was" : "were"} refused by the bridge.</p>`;
}
