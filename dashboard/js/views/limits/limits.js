/** How much of each limit is used, who holds what, and what was refused. */

import { html } from "htm/preact";
import { Bar } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { isTokenId } from "../../charts/statistics.js";
import { seesEveryone } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { Failure, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { plural, time, usd, whole } from "../../text/format.js";
import { periodText } from "../../text/limits_text.js";
import { Gauge, RefusedRules } from "./holding.js";
import Usage from "./usage.js";
import { WhatIf } from "./what_if.js";

const EVERY_MS = 3000;
const REFUSED_EVERY_MS = 15_000;
const USUAL = "7d";
const ALL = "All requests";
const TITLES = {
  concurrency: ["Requests at a time", "All requests in progress."],
  user_concurrency: ["Requests at a time, by user", "The users with the most requests in progress."],
  rate: ["Requests started, by token", "The tokens and addresses that used most of their rate."],
  user_rate: ["Requests started, by user", "The users who used most of their rate, with all their tokens."],
  user_tokens: ["Tokens used, by user", "The users who have the fewest tokens left."],
  user_budget: ["Budget, by user", "The users who have the least money left."],
};

const SCOPES = {
  process: "The use of this process",
  server: "The use of all workers of this server",
  cluster: "The use of all processes on the database",
};

export default function Limits({ route, user }) {
  return seesEveryone(user) ? html`<${OfAll} route=${route} user=${user} />` : html`<${Usage} route=${route} user=${user} />`;
}

/** The limits as they are now, and beside them what was refused in the range. */
function OfAll({ route, user }) {
  const chosen = chosenRange(route.params, USUAL);
  const range = rangeParams(route.params, USUAL);
  const { data, error, reload } = useResource("limits", {}, { every: EVERY_MS });
  const refused = useResource("stats", { ...asked(chosen), of: "refusals", group_by: "rule", bucket: "all", limit: 1000 }, { every: REFUSED_EVERY_MS });
  const isThere = data && (refused.data || refused.error);
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} />
    <${Pending} data=${isThere} error=${error} retry=${reload} />
    ${isThere &&
    html`
      <p class="quiet range-text">
        ${SCOPES[data.scope]}, at ${time(data.at)}.${" "}
        <a href=${href("interceptions", "", { q: searchFor({ status: "in_flight" }) })}>Calls under way</a>.${" "}
        <a href=${href("usage")}>My usage</a>
        ${data.state !== "ok" && html` <b class="bad">${data.state}</b>`}
      </p>
      <div class="cards">${data.limits.filter(isShown).map((limit) => html`<${Limit} key=${limit.name} limit=${limit} />`)}</div>
      <${RefusedInRange} refused=${refused} tz=${chosen.tz} range=${range} />
      ${refused.data && html`<${WhatIf} from=${refused.data.from} to=${refused.data.to} tz=${chosen.tz} />`}
    `}
  `;
}

/** Who a row is about: a user or a token with a link to what they have used, or an address. Who calls with a token of a group is no user. */
function Name({ of: { key, username } }) {
  if (!username || username === ALL) return username ?? key;
  const [group, name] = username.split("/");
  return html`<a href=${name ? href(group, name) : href("usage", username)}>${username}</a>${isTokenId(key) && html` · <code>${key}</code>`}`;
}

/** Whether a limit is set, or somebody uses what it would count. */
function isShown({ limit, keys, used }) {
  return limit > 0 || used > 0 || keys?.length > 0;
}

function Limit({ limit }) {
  const { name, limit: most, keys, window_seconds: window, period } = limit;
  const format = period ? usd : whole;
  const [title, about] = TITLES[name];
  const rows = keys ?? [{ key: "all", username: ALL, ...limit }];
  return html`
    <section class="card limit stack">
      <h2>${title}</h2>
      <p class="quiet">
        ${most > 0 && `At most ${format(most)}${window ? ` in ${whole(window)} s` : ""}${period ? ` ${periodText(period)}` : ""}. `}${about}
      </p>
      <ul class="gauges stack">
        ${rows.map(
          ({ key, username, used, remaining, next_free_at: free, resets_at: resets }) => html`
            <li key=${key}>
              <${Gauge} name=${username ?? key} shownName=${html`<${Name} of=${{ key, username }} />`} used=${used} limit=${most} format=${format} />
              ${remaining === 0 && html`<p class="quiet">${(free ?? resets) ? `Free at ${time(free ?? resets)}` : `Free when ${period ? "the period" : "a request"} ends`}</p>`}
            </li>
          `,
        )}
      </ul>
      ${!rows.length && html`<p class="quiet">Not in use.</p>`}
    </section>
  `;
}

/** `refused` is the response of `/stats` about refusals by rule, as `useResource` has it. `range` is what says the range in an address. */
function RefusedInRange({ refused, tz, range }) {
  const { data, error, reload } = refused;
  return html`
    <section class="card apart refused-in-range">
      <h2>Refused in this time</h2>
      ${error && html`<${Failure} error=${error} retry=${reload} />`}
      ${data && html`<p class="quiet">${data.total.refusals ? plural(data.total.refusals, "request") : "Nothing was refused"}, ${rangeText(timesOf(data), tz)}, ${tz}.</p>`}
      ${data?.groups.length > 0 &&
      html`
        <${RefusedRules} stats=${data} range=${range} />
        <p><a href=${href("explore", "", { of: "refusals", by: "user,rule", ...range })}>Whose calls these were</a></p>
      `}
    </section>
  `;
}
