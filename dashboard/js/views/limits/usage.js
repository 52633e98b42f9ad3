/** How near somebody is to every limit, when there is more, their tokens, and what they did in a time. For everybody of themselves. */

import { html } from "htm/preact";
import { Bar } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { seesEveryone, seesEverything } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { Empty, Failure, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { ago, time, usd } from "../../text/format.js";
import { refusedText } from "../../text/limits_text.js";
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

/** Without a range, the latest refusals are shown, whatever their time. */
function Shown({ of, isMine, me, chosen, params }) {
  const { tz } = chosen;
  const span = chosenRange(params).preset || chosen.custom ? asked(chosen) : {};
  const { data, error, reload } = useResource(`users/${encodeURIComponent(of)}/usage`, span, { every: EVERY_MS });
  if (error?.status === 404) return html`<${NoUser} username=${of} />`;
  if (!data) return html`<${Pending} error=${error} retry=${reload} />`;
  const { user, at, total, state, spend_usd: spend, limits, tokens, refusals } = data;
  const range = timesOf(data);
  const whose = { user: isMine ? "me" : user.username };
  const drill = (terms) => href("interceptions", "", { q: searchFor({ ...whose, ...terms }), ...rangeParams(params, USUAL) });
  return html`
    ${error && html`<${Failure} error=${error} retry=${reload} />`}
    <div class="toolbar flow">
      <p class="quiet" role="status">
        ${isMine ? "What you have used" : html`What <b>${user.name}</b> has used`}, at ${time(at)}. ${usd(spend)} spent this month.
        ${state !== "ok" && html` <b class="bad">${state}</b>`}
      </p>
      ${!isMine && html`<a href=${href("users", user.username)}>${user.username}</a>`}
    </div>
    <p class="quiet range-text">${`${rangeText(range, tz)}, ${tz}`}</p>
    <${Tiles} figures=${total} drill=${drill} />
    <div class="cards">
      <section class="card limit stack">
        <h2>Limits</h2>
        <${LimitRules} rules=${limits} none="There is no limit but those of the whole server." />
      </section>
      <${Refused} refusals=${refusals} isOver=${range.to < Date.now()} all=${href("refusals", "", { q: searchFor(whose), ...rangeParams(params) })} />
    </div>
    ${tokens && html`<${TokenLimits} tokens=${tokens} isMine=${isMine} username=${user.username} />`}
    ${(isMine || seesEverything(me)) && html`<section class="card"><h2>What else holds</h2><${Explained} of=${of} /></section>`}
    ${
      isMine &&
      html`<section class="card apart">
        <h2>Who can read my prompts</h2>
        <p>You, and the auditors and owners of this bridge: each time one of them reads calls of yours is in the audit trail. Readers see figures, and no texts.</p>
      </section>`
    }
  `;
}

function Refused({ refusals, isOver, all }) {
  const { rules, latest } = refusals;
  return html`
    <section class="card limit stack">
      <h2>Refused</h2>
      <p class=${refusals.count ? "bad" : "quiet"}>${refusedText(refusals, new Date(), isOver)}</p>
      <${RefusedRules} rules=${rules} />
      ${latest.length > 0 && html`<p class="quiet">The last one, ${ago(latest[0].at)}: ${latest[0].message ?? reasonOf(latest[0].rule)}</p>`}
      <p><a href=${all}>Refused calls</a></p>
    </section>
  `;
}

function TokenLimits({ tokens, isMine, username }) {
  return html`
    <h2 class="apart">Tokens</h2>
    <p class="quiet"><a href=${isMine ? href("tokens") : href("users", username)}>${isMine ? "Create or revoke tokens" : "All tokens"}</a></p>
    <div class="cards">
      ${tokens.map(
        ({ id, name, last_used_at: used, last_client: client, last_client_ip: address, expires_at: expires, limits }) => html`
          <section class="card limit stack" key=${id}>
            <h3>${name || "A token without a name"}</h3>
            <p class="quiet">
              <code>${id}</code> ${used ? html`last used <span title=${used}>${ago(used)}</span>, by ${client} from ${address}` : "never used, as far as is known"}; ${expires ? `expires ${time(expires)}` : "never expires"}
            </p>
            <${LimitRules} rules=${limits} none="No limit of its own." />
          </section>
        `,
      )}
    </div>
    ${!tokens.length && html`<p class="quiet">No active token.</p>`}
  `;
}
