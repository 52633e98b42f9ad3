/** Who changed what of users and tokens, who signed in, who was refused, who read whose calls. For owners and auditors. */

import { html } from "htm/preact";
import { time } from "../format.js";
import { End } from "../parts/end.js";
import { Empty, NotForYou } from "../parts/states.js";
import { usePages } from "../resource.js";
import { href } from "../router.js";
import { seesEverything } from "../shell.js";
import { whatWasDone } from "../trail.js";

const PAGE = 100;

export function Audit({ user }) {
  return seesEverything(user) ? html`<${Trail} />` : html`<${NotForYou} what="the audit trail" />`;
}

function Trail() {
  const pages = usePages("audit", {}, "after_id", PAGE);
  return html`
    <p class="back"><a href=${href("users")}>← Users</a></p>
    <ol class="rows" aria-label="Audit trail, newest first">
      ${pages.rows.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}
    </ol>
    <${End} pages=${pages}><${Empty} title="Nothing yet"><p>Changes to users and tokens appear here permanently, sign-ins and refused requests for 90 days.</p><//><//>
  `;
}

function Entry({ entry }) {
  const { at, actor, client_ip: address } = entry;
  return html`
    <li class="entry">
      <time class="quiet" datetime=${at} title=${at}>${time(at)}</time>
      <span class="what"><b>${actor.username}</b> ${whatWasDone(entry)}</span>
      <span class="quiet">${address}${actor.token_id && html` · token ${actor.token_id}`}</span>
    </li>
  `;
}
