/** What happened over time, at a glance. */

import { html } from "htm/preact";
import { Bar, chooser } from "../../bar/bar.js";
import { terms, valueOf, withTerm } from "../../bar/query.js";
import { asked, bucketsOf, chosenRange, goesOn, lengthOf, rangeParams, rangeText, timesBetween, timesOf } from "../../bar/range.js";
import { Chart } from "../../charts/chart.js";
import { bucketFor, byShare, chartRows, earlier, placed, termOf, valueName } from "../../charts/statistics.js";
import { IN_DEMO } from "../../frame/demo.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Segmented, Table, TOKENS } from "../../parts/figures.js";
import { Empty, StatsState } from "../../parts/states.js";
import { useKept, useResource } from "../../server/resource.js";
import { duration, lateBy, percent, plural, short, tokensIn, usd, whole } from "../../text/format.js";
import { ERRORS, unusual } from "../../text/unusual.js";
import { endTitle, why } from "../../text/vocabulary.js";
import { Tiles } from "./tiles.js";

const EVERY_MS = 15_000;
const EMPTY_MS = 2000;
const EXAMPLE = "words, model:gpt-5 client:codex tag:project=apollo";
const SPLITS = [
  ["", "All"],
  ["model", "Model"],
  ["provider", "Provider"],
  ["client", "Client"],
  ["user", "User"],
  ["group", "Group"],
  ["token", "Token"],
];
const KINDS = TOKENS.map(([key, name], index) => ({ name, pick: ({ token_usage: usage }) => usage[key], colour: `series-${index + 1}` }));
const ENDS = [
  { name: "Completed", pick: ({ interceptions, failed }) => interceptions - failed, colour: "series-1", status: "completed" },
  { name: "Failed", pick: ({ failed }) => failed, colour: "bad-mark", status: "failed" },
];
const AMOUNTS = { calls: ({ interceptions }) => interceptions, tokens: ({ tokens }) => tokens, cost: ({ cost_usd: cost }) => cost ?? 0 };
const COST = [{ name: "All", pick: AMOUNTS.cost, colour: "series-1" }];
const QUANTILES = ["p50", "p95", "p99"].map((name, index) => ({
  name,
  pick: ({ first_byte_ms: first }) => first?.[name] ?? null,
  colour: `series-${[1, 3, 7][index]}`,
}));
const TITLES = { model: "Models", provider: "Providers", client: "Clients", user: "Users", group: "Groups", token: "Tokens" };
const MAX_GROUPS = 12;

export default function Overview({ route, user }) {
  const { params } = route;
  const { q = "" } = params;
  const chosen = chosenRange(params, "24h");
  const compares = params.compare !== "no";
  const { tz } = chosen;
  const isOver = !goesOn(chosen);
  const length = lengthOf(chosen);
  const bucket = bucketFor(length);
  // A search may have to read calls one by one, so it is not repeated by itself.
  const every = (data) => (isOver || q ? 0 : data && !data.total.interceptions ? EMPTY_MS : EVERY_MS);
  const query = { ...asked(chosen), tz, bucket, q };
  const all = useResource("stats", { ...query, compare: compares ? "previous" : "" }, { every, withProgress: Boolean(q) });
  const split = useResource("stats", { ...query, group_by: params.by || "model", limit: MAX_GROUPS }, { every, withProgress: Boolean(q) });
  const refused = useResource(isOfUsers(q) ? "stats" : null, { ...query, of: "refusals", bucket: "all" }, { every });
  const loaded = all.data && split.data;
  const failure = all.error ?? split.error;
  const progress = all.progress ?? split.progress;
  const choose = chooser(route);
  const retry = () => {
    all.reload();
    split.reload();
    refused.reload();
  };
  const sessions = href("sessions", "", { q, order: "lost", ...rangeParams(params, "24h") });
  const splits = SPLITS.filter(([by]) => by !== "user" || seesEveryone(user));
  const late = IN_DEMO ? 0 : lateBy(all.data?.counted_until);
  const ends = all.data && { ...timesOf(all.data), ...(isOver ? {} : { to: Date.now() }) };
  // Whole buckets: what a response counts.
  const drillInto = (view, within) => (terms, from = all.data.from, to = all.data.to) => {
    const found = Object.entries(terms).reduce((q, [key, value]) => withTerm(q, key, value), within);
    return href(view, "", { q: found, from, to, tz: params.tz });
  };
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} search=${{ example: EXAMPLE, known: true }}>
      <${Segmented} label="Split by" options=${splits} value=${params.by ?? ""} onChoose=${(by) => choose({ by })} />
      <button type="button" aria-pressed=${compares} onClick=${() => choose({ compare: compares ? "no" : "" })}>Compare</button>
    <//>
    <p class="quiet range-text">${ends ? `${rangeText(ends, tz)}, ${tz}${late > 0 ? `; calls of the last ${duration(late)} are still to be counted` : ""}` : ""}</p>
    ${!q && seesEveryone(user) && html`<${Unusual} tz=${tz} />`}
    <${StatsState} data=${all.data} isLoaded=${loaded} error=${failure} retry=${retry} progress=${progress} />
    ${loaded && html`<${Body} isOwner=${user.role === "owner"} prices=${seesEverything(user) && href("prices")} isFiltered=${Boolean(q)} all=${all.data} split=${split.data} refusals=${isOfUsers(q) ? refused.data : undefined} sessions=${sessions} by=${params.by ?? ""} drill=${drillInto("interceptions", q)} drillRefused=${drillInto("refusals", ofUser(q))} onZoom=${(from, to) => choose({ range: "", from, to })} />`}
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

/** What of a search for calls is one for refused calls too. */
function ofUser(q) {
  return withTerm("", "user", valueOf(q, "user"));
}

function Body({ isOwner, prices, isFiltered, all, split, refusals, sessions, by, drill, drillRefused, onZoom }) {
  const figures = all.total;
  if (!figures.interceptions) {
    return html`
      <${Empty} title="No calls in this time">
        ${isFiltered ? html`<p>Choose another range, or take a filter away.</p>` : html`<p>Choose a longer range, or <a href=${href("connect")}>connect a client</a> and make the first call.</p>`}
        ${isOwner && !isFiltered && html`<p>To look around first, <a href=${href("demo")}>fill in a demo company</a>: two months of calls, beside your own.</p>`}
      <//>
      ${refusals?.total.refusals > 0 && html`<section class="card"><${Refused} total=${refusals.total.refusals} drill=${drillRefused} /></section>`}
    `;
  }
  return html`
    <${Tiles} figures=${figures} previous=${all.previous?.total} drill=${drill} sessions=${sessions} prices=${prices} />
    <${Charts} all=${all} split=${by && split} drill=${drill} onZoom=${onZoom} />
    <div class="pair">
      <${Breakdown} stats=${split} drill=${drill} />
      <${Failures} figures=${figures} refusals=${refusals} drill=${drill} drillRefused=${drillRefused} />
    </div>
  `;
}

/** `split` is false where there are to be no groups; with them every chart shows the same, each in a colour of its own. */
function Charts({ all, split, drill, onZoom }) {
  const { at, drawn, step } = bucketsOf(all);
  const between = (go) => (from, to) => {
    const ends = timesBetween({ at, drawn }, from, to, Date.parse(all.to));
    go(new Date(ends.from).toISOString(), new Date(ends.to).toISOString());
  };
  const common = { times: drawn, step, onPick: between((from, to) => go(drill({}, from, to))), onZoom: between(onZoom) };
  const leading = split && byShare(split, Object.values(AMOUNTS));
  const linked = (row) => ({ ...row, href: row.group ? hrefOf(row.group, split.group_by, drill) : undefined });
  const ofAll = (parts, blank) => parts.map(({ pick, ...part }) => ({ ...part, values: placed(all.points, at, pick, blank), total: pick(all.total) }));
  const rows = (pick, parts, blank = 0) => (split ? chartRows(leading, at, pick, blank).map(linked) : ofAll(parts, blank));
  const { calls, tokens, cost } = AMOUNTS;
  const ends = ENDS.map((end) => ({ ...end, href: drill({ status: end.status }) }));
  return html`
    <div class="charts">
      <${Chart} ...${common} title="Calls" kind="bars" rows=${rows(calls, ends)} before=${earlier(all, calls)} format=${short} nothing="No calls." />
      <${Chart} ...${common} title="Tokens" kind="bars" rows=${rows(tokens, KINDS)} before=${earlier(all, tokens)} format=${short} nothing="No tokens were reported." />
      <${Chart} ...${common} title="Cost" kind="bars" rows=${rows(cost, COST)} before=${earlier(all, cost)} format=${usd} nothing="No call has a known price." />
      <${Chart} ...${common} title=${split ? "Time to first byte, median" : "Time to first byte"} kind="lines" rows=${rows(QUANTILES[0].pick, QUANTILES, null)} format=${duration} nothing="No byte arrived." />
    </div>
  `;
}

/** The address of the calls of a group by one dimension; undefined where no search finds them. */
function hrefOf(group, [by], drill) {
  const term = termOf(by, group[by]);
  return term ? drill(Object.fromEntries([term])) : undefined;
}

/** The groups in figures, the one with the most calls first; each leads to its calls. */
function Breakdown({ stats: { groups, other, count, group_by: by }, drill }) {
  const rows = [...groups.toSorted((one, another) => another.total.interceptions - one.total.interceptions), ...(other ? [other] : [])];
  const title = TITLES[by[0]];
  const most = Math.max(1, ...rows.map(({ total }) => total.interceptions));
  return html`
    <section class="card">
      <h2>${title}</h2>
      <${Table} label=${title} kind="breakdown" heads=${html`<th>Name</th><th class="number">Calls</th><th class="number">Failed</th><th class="number">Tokens in</th><th class="number">Out</th><th class="number">Cost</th><th class="number">First byte</th>`}>
        ${rows.map(({ group, total }) => html`<${Group} key=${JSON.stringify(group)} name=${group ? valueName(group[by[0]], by[0]) : "Other"} link=${group && hrefOf(group, by, drill)} total=${total} most=${most} />`)}
      <//>
      ${count > groups.length && html`<p class="quiet">${`and ${whole(count - groups.length)} more`}</p>`}
    </section>
  `;
}

function Group({ name, link, total, most }) {
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

/** `refusals` are the statistics of refused calls, undefined where they are not known; `drill` and `drillRefused` make addresses of the calls, and of the refused calls, that terms find in this range. */
function Failures({ figures, refusals, drill, drillRefused }) {
  const reasons = Object.entries(figures.failures)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, another]) => another - one);
  return html`
    <section class="card">
      <h2>Why calls failed</h2>
      ${reasons.length
        ? html`
            <ul class="reasons">
              ${reasons.map(
                ([reason, count]) => html`
                  <li key=${reason}>
                    <span>${endTitle(reason)}</span><b>${whole(count)}</b><span class="quiet">${percent(count, figures.failed)}</span>
                    <small class="quiet">${why(reason)}</small>
                    <span class="share-bar" aria-hidden="true"><i style=${{ width: `${(100 * count) / figures.failed}%` }}></i></span>
                  </li>
                `,
              )}
            </ul>
            <p><a href=${drill({ status: "failed" })}>Show them</a></p>
          `
        : html`<p class="quiet">None did.</p>`}
      ${refusals && html`<${Refused} total=${refusals.total.refusals} drill=${drillRefused} />`}
    </section>
  `;
}

/** Calls that the bridge refused in the same range: they are no interceptions, so no figure above has them. */
function Refused({ total, drill }) {
  return html`<p>${total > 0 ? html`<a href=${drill({})}>${plural(total, "call")}</a> besides` : "None besides"} ${total === 1 ? "was" : "were"} refused by the bridge.</p>`;
}
