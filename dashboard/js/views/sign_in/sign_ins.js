/** Where a user is signed in, and how to end that. */

import { html } from "htm/preact";
import { ConfirmButton } from "../../parts/forms.js";
import { End } from "../../parts/list.js";
import { send, signOut } from "../../server/api.js";
import { usePages } from "../../server/resource.js";
import { browserName, time } from "../../text/format.js";

const PAGE = 50;
// How a session began that has no token.
const WAYS = { openid: "by single sign-on", link: "by a link" };

/** Sessions of one user; `of` is the username, or `me`. */
export function SignIns({ of, mayEnd }) {
  const path = `users/${encodeURIComponent(of)}/sessions`;
  const pages = usePages(path, {}, "offset", PAGE);
  const end = ({ id, current }) => (current ? signOut() : send("DELETE", `${path}/${encodeURIComponent(id)}`).then(pages.reload));
  return html`
    <div class="token-list">
      <ul class="rows" aria-label="Signed in">
        ${pages.rows.map((session) => html`<${Row} key=${session.id} session=${session} end=${mayEnd && (() => end(session))} />`)}
      </ul>
      <${End} pages=${pages}><p class="quiet">Signed in nowhere.</p><//>
    </div>
  `;
}

function Row({ session, end }) {
  const { token_id: token, method, created_at: created, last_used_at: used, expires_at: expires, client_ip: address, current } = session;
  const name = browserName(session.user_agent);
  return html`
    <li class="sign-in">
      <b title=${session.user_agent}>${name}${current && html` <span class="role">this browser</span>`}</b>
      <span class="quiet">
        from ${address} ${token ? html`with <code>${token}</code>` : WAYS[method]}, signed in ${time(created)}, last used ${time(used)}, ends ${time(expires)} if unused
      </span>
      ${end &&
      html`<${ConfirmButton} text="Sign out" name=${`Sign out ${name}`} title=${`Sign out ${name}?`} act=${end}>
        <p>${current ? "That is this browser." : "That browser is signed out within seconds."} ${token && "The token stays valid."}</p>
      <//>`}
    </li>
  `;
}
