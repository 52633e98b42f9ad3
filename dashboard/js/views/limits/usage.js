/** How near somebody is to every limit, when there is more, their tokens, and what they did in a time. For everybody of themselves. */

import { html } from "htm/preact";
import { Bar } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { Toolbar } from "../../parts/list.js";
import { Empty, Failure, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { ago, duration, plural, time, usd, whole } from "../../text/format.js";
import { reasonOf } from "../../text/vocabulary.js";
import { NoUser } from "../accounts/users.js";
import { Tiles } from "../overview/tiles.js";
import { Explained, LimitRules, RefusedRules } from "./holding.js";

const EVERY_MS = 5000;
const USUAL = "24h";

export default function Usage({ route, user }) {
  const of = route.view === "usage" && route.id ? route.id : user.username;
  const isMine = of.toLowerCase() === user.username.toLowerCase() || of === user.id;
  if (!isMine && !seesEveryone(user)) return html`<${Empty} title="Not for your role"><p>Only owners, auditors and readers may see what others use.</p><//>`;
  const chosen = chosenRange(route.params, USUAL);
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} id=${route.view === "usage" ? route.id : ""} />
    <${Shown} key=${of} of=${isMine ? "me" : of} isMine=${isMine} me=${user} chosen=${chosen} params=${route.params} />
  `;
}

function Shown({ of, isMine, me, chosen, params }) {
  const { tz } = chosen;
  const span = chosenRange(params).preset || chosen.custom ? asked(chosen) : {};
  const { data, error, reload } = useResource(`users/${encodeURIComponent(of)}/usage`, span, { every: EVERY_MS });
  const q = searchFor({ user: of });
  const refused = useResource("stats", { ...asked(chosen), of: "refusals", group_by: "rule", bucket: "all", limit: 1000, q }, { every: EVERY_MS });
  if (error?.status === 404) return html`<${NoUser} username=${of} />`;
  if (!data || !refused.data) return html`<${Pending} error=${error ?? refused.error} retry=${data ? refused.reload : reload} />`; // all at once, so that nothing moves
  const { user, at, total, state, spend_usd: spend, limits, tokens } = data;
  const drill = (terms) => href("interceptions", "", { q: searchFor({ user: of, ...terms }), ...rangeParams(params, USUAL) });
  return html`
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    <${Toolbar} says=${html`
      ${isMine ? "What you have used" : html`What <b>${user.name}</b> has used`}, at ${time(at)}. ${usd(spend)} spent this month. Calls of ${rangeText(timesOf(data), tz)}, ${tz}.
      ${state !== "ok" && html` <b class="bad">${state}</b>`}
    `}>
      ${!isMine && html`<a href=${href("users", user.username)}>${user.username}</a>`}
    <//>
    <${Tiles} figures=${total} drill=${drill} />
    <div class="cards">
      <section class="card limit stack">
        <h2>Limits</h2>
        <${LimitRules} rules=${limits} none="There is no limit but those of the whole server." />
      </section>
      <${TokenLimits} tokens=${tokens ?? []} />
      <${Refused} stats=${refused.data} q=${q} params=${params} />
    </div>
    ${(isMine || seesEverything(me)) && html`<section class="card"><h2>What else holds</h2><${Explained} of=${of} /></section>`}
    ${isMine && html`<${Readers} />`}
  `;
}

/** Who can read what one wrote, and who did. */
function Readers() {
  const { data, error, reload } = useResource("users/me/reads");
  const kept = data?.kept_seconds && duration(1000 * data.kept_seconds);
  return html`
    <section class="card apart readers">
      <h2>Who can read my prompts</h2>
      <p>You, and the auditors and owners of this bridge. Readers see figures, and no texts.${data && ` Calls are kept ${kept ? `for ${kept}` : "for good"}.`}</p>
      <${Pending} data=${data} error=${error} retry=${reload} />
      ${data && !data.reads.length && html`<p class="quiet">Nobody else has read them within a year.</p>`}
      <ul>${data?.reads.map(({ at, by, count }) => html`<li key=${at + by}><b>${by}</b> <span class="quiet">read ${whole(count)} of them, <span title=${at}>${ago(at)}</span></span></li>`)}</ul>
    </section>
  `;
}

/** What was refused in the range, and the last refusal whenever it was. */
function Refused({ stats, q, params }) {
  const latest = useResource("refusals", { q: `${q} shadow:false`, limit: 1 }, { every: EVERY_MS }).data?.results[0];
  const count = stats.total.refusals;
  return html`
    <section class="card limit stack">
      <h2>Refused</h2>
      <p class=${count ? "bad" : "quiet"}>${count ? `${plural(count, "call")} refused` : "Nothing refused"} in this time</p>
      <${RefusedRules} stats=${stats} q=${q} range=${rangeParams(params, USUAL)} />
      ${latest && html`<p class="quiet">The last one, ${ago(latest.at)}: ${latest.message ?? reasonOf(latest.rule)}</p>`}
      <p><a href=${href("refusals", "", { q, ...rangeParams(params) })}>Refused calls</a></p>
    </section>
  `;
}

/** The limits of tokens that have some of their own. */
function TokenLimits({ tokens }) {
  return tokens
    .filter(({ limits }) => limits.length)
    .map(
      ({ id, name, limits }) => html`
        <section class="card limit stack" key=${id}>
          <h2>Token ${name || html`<code>${id}</code>`}</h2>
          <${LimitRules} rules=${limits} />
        </section>
      `,
    );
}
