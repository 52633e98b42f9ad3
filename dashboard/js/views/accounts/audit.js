/** Changes of users and tokens, sign-ins, refused accesses, reads of other users' calls. */

import { html } from "htm/preact";
import { Bar, Choice, chooser } from "../../bar/bar.js";
import { asked, chosenRange } from "../../bar/range.js";
import { End, Nothing } from "../../parts/list.js";
import { usePages } from "../../server/resource.js";
import { time } from "../../text/format.js";
import { whatWasDone } from "../../text/vocabulary.js";

const PAGE = 100;
/** What entries are of, as the API calls it and as people do. */
const KINDS = [
  ["user", "Users and sign-ins"],
  ["group", "Groups"],
  ["token", "Tokens"],
  ["policy", "Policies"],
  ["provider", "Providers"],
  ["prices,recost", "Prices"],
  ["webhook", "Webhooks"],
  ["view", "Saved views"],
  ["calls", "Calls of others"],
  ["session,sign_in_link", "Sessions"],
  ["authentication,access", "Refused"],
  ["demo", "Demo company"],
];

export default function Audit({ route: { params }, route, user }) {
  const chosen = chosenRange(params);
  const pages = usePages("audit", { ...asked(chosen), action: params.action, user: params.user }, "after_id", PAGE);
  const choose = chooser(route);
  const isNarrowed = Boolean(chosen.preset || chosen.custom || params.action || params.user);
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} isEver>
      <${Choice} label="Everything" value=${params.action ?? ""} options=${KINDS} onChoose=${(action) => choose({ action })} />
      ${params.user && html`<span class="chip">${params.user}<button type="button" class="plain" aria-label=${`Without ${params.user}`} onClick=${() => choose({ user: "" })}>×</button></span>`}
    <//>
    <ol class="rows" aria-label="Audit trail, newest first">
      ${pages.rows.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} onUser=${(name) => choose({ user: name })} />`)}
    </ol>
    <${End} pages=${pages}>
      <${Nothing} isNarrowed=${isNarrowed} view="audit" none="Nothing of this was done then." title="Nothing yet"><p>Changes to users and tokens appear here permanently, sign-ins and refused requests for 90 days.</p><//>
    <//>
  `;
}

function Entry({ entry, onUser }) {
  const { at, actor, client_ip: address } = entry;
  return html`
    <li class="entry">
      <time class="quiet" datetime=${at} title=${at}>${time(at)}</time>
      <span class="what"><button type="button" class="plain who" title=${`What ${actor.username} did`} onClick=${() => onUser(actor.username)}><b>${actor.username}</b></button> ${whatWasDone(entry)}</span>
      <span class="quiet">${address}${actor.token_id && html` · token ${actor.token_id}`}</span>
    </li>
  `;
}
