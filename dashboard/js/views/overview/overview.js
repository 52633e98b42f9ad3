/** What happened over time, at a glance. */

import { html } from "htm/preact";
import { Bar, chooser } from "../../bar/bar.js";
import { terms, valueOf, withTerm } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { goesOn, lengthOf } from "../../bar/ranges.js";
import { bucketFor, iso, justBefore, mostGroups } from "../../charts/series.js";
import { seesEveryone } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { Segmented } from "../../parts/figures.js";
import { Empty, StatsState } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { duration, lateBy } from "../../text/format.js";
import { Breakdown } from "./breakdown.js";
import { Charts } from "./charts.js";
import { Failures, Refused } from "./failures.js";
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

export default function Overview({ route, user }) {
  const { params } = route;
  const { q = "" } = params;
  const chosen = chosenRange(params, "24h");
  const compares = params.compare !== "no";
  const { tz } = chosen;
  const isOver = !goesOn(chosen);
  const length = lengthOf(chosen);
  const bucket = bucketFor(length, chosen.custom && Date.now() - chosen.custom.from);
  // A search may have to read calls one by one, so it is not repeated by itself.
  const every = (data) => (isOver || q ? 0 : data && !data.total.interceptions ? EMPTY_MS : EVERY_MS);
  const query = { ...asked(chosen), tz, bucket, q };
  const all = useResource("stats", { ...query, compare: compares ? "previous" : "" }, { every, withProgress: Boolean(q) });
  const split = useResource("stats", { ...query, group_by: params.by || "model", limit: mostGroups(length, bucket) }, { every, withProgress: Boolean(q) });
  const refused = useResource(isOfUsers(q) ? "stats" : null, { ...query, of: "refusals", group_by: "rule", limit: 100 }, { every });
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
  const ends = all.data && { ...timesOf(all.data), ...(isOver ? {} : { to: Date.now() }) };
  const drillInto = (view, within) => (terms) => {
    const added = Object.entries({ ...boundsOf(all.data, isOver), ...terms });
    return href(view, "", { q: added.reduce((found, [key, value]) => withTerm(found, key, value), within) });
  };
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} search=${{ example: EXAMPLE, known: true }}>
      <${Segmented} label="Split by" options=${splits} value=${params.by ?? ""} onChoose=${(by) => choose({ by })} />
      <button type="button" aria-pressed=${compares} onClick=${() => choose({ compare: compares ? "no" : "" })}>Compare</button>
    <//>
    <p class="quiet range-text">${ends ? `${rangeText(ends, tz)}, ${tz}` : ""}</p>
    <${StatsState} data=${all.data} isLoaded=${loaded} error=${failure} retry=${retry} progress=${progress} />
    ${loaded && html`<${Body} isOwner=${user.role === "owner"} isFiltered=${Boolean(q)} all=${all.data} split=${split.data} refusals=${isOfUsers(q) ? refused.data : undefined} sessions=${sessions} by=${params.by ?? ""} drill=${drillInto("interceptions", q)} drillRefused=${drillInto("refusals", ofUser(q))} onZoom=${({ from, to }) => choose({ range: "", from: iso(from / 1000), to: iso(to / 1000) })} />`}
  `;
}

/** Whether a search is one for refused calls too. */
function isOfUsers(q) {
  return terms(q).every(({ key }) => key === "user");
}

/** What of a search for calls is one for refused calls too. */
function ofUser(q) {
  return withTerm("", "user", valueOf(q, "user"));
}

/** A search for the calls that a response counts: whole buckets, the end of the last one not included. */
function boundsOf({ from, to }, isOver) {
  return { started_after: from, started_before: isOver ? justBefore(Date.parse(to) / 1000) : "" };
}

function Body({ isOwner, isFiltered, all, split, refusals, sessions, by, drill, drillRefused, onZoom }) {
  const figures = all.total;
  if (!figures.interceptions) {
    return html`
      <${Empty} title="No calls in this time">
        ${isFiltered ? html`<p>Choose another range, or take a filter away.</p>` : html`<p>Choose a longer range, or <a href=${href("connect")}>connect a client</a> and make the first call.</p>`}
        ${isOwner && !isFiltered && html`<p>To look around first, <a href=${href("demo")}>fill in a demo company</a>: two months of calls, beside your own.</p>`}
      <//>
      ${refusals?.total.refusals > 0 && html`<section class="card"><${Refused} refusals=${refusals} drill=${drillRefused} /></section>`}
    `;
  }
  const late = lateBy(all.counted_until);
  return html`
    ${late > 0 && html`<p class="quiet">${`Calls of the last ${duration(late)} are still to be counted.`}</p>`}
    <${Tiles} figures=${figures} previous=${all.previous?.total} drill=${drill} sessions=${sessions} />
    <${Charts} all=${all} split=${by && split} drill=${drill} onZoom=${onZoom} />
    <div class="pair">
      <${Breakdown} stats=${split} drill=${drill} />
      <${Failures} figures=${figures} refusals=${refusals} drill=${drill} drillRefused=${drillRefused} />
    </div>
  `;
}
