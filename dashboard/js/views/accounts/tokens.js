/** What lets a user in: their tokens, how to get one more or rid of one, and where they are signed in. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { searchFor } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { Addition, ConfirmButton } from "../../parts/forms.js";
import { End } from "../../parts/list.js";
import { Created } from "../../parts/texts.js";
import { onSignedOut, send, signOut } from "../../server/api.js";
import { usePages } from "../../server/resource.js";
import { browserName, plural, time } from "../../text/format.js";
import { Figures, useFigures } from "./figures.js";

const PAGE = 50;
const DAY_MS = 86_400_000;
export const LIFETIMES = [[7, "7 days"], [30, "30 days"], [90, "90 days"], [365, "A year"]];

/** The token that was created last, by the path of its list, until it is said to be copied: who looks at another view meanwhile still has it. */
const unseen = new Map();
onSignedOut(() => unseen.clear());

/** One's own, for everybody. */
export default function OwnTokens({ user }) {
  return html`
    <div class="prose stack">
      <p>A token tells the bridge who calls. Give <a href=${href("connect")}>each client</a> one of its own, to revoke it alone.</p>
      <${Tokens} of="me" mayChange=${true} rules=${user.tokens} />
      <h2>Where you are signed in</h2>
      <p>A browser that you signed in with a token. It is signed out with that token, or here.</p>
      <${SignIns} of="me" mayEnd=${true} />
    </div>
  `;
}

/**
 * Those of one user; `of` is the username, or `me`. `rules` say which tokens who is signed in may create. `params` has the range of
 * their figures. `onChanged` is called when there is one more or one less.
 */
export function Tokens({ of, params = {}, mayChange, rules, onChanged = () => {} }) {
  const figures = useFigures(params, "token", searchFor({ user: of }));
  const path = `users/${encodeURIComponent(of)}/tokens`;
  const pages = usePages(path, {}, "offset", PAGE);
  const [created, setShown] = useState(unseen.get(path));
  const setCreated = (token) => {
    unseen.set(path, token);
    setShown(token);
  };
  const changed = () => {
    pages.reload();
    onChanged();
  };
  const revoke = (id) => send("DELETE", `tokens/${encodeURIComponent(id)}`).then(changed);
  return html`
    <div class="token-list">
      ${mayChange && html`<${NewToken} path=${path} rules=${rules} onCreated=${(token) => (setCreated(token), changed())} />`}
      ${created &&
      html`
        <${Created} key=${created.id} label="New token" heading="Copy it now: it will not be shown again" secret=${created.token} what="token" onDone=${() => setCreated(null)}>
          This is ${created.name ? `“${created.name}”` : "the token"}. Treat it like a password: whoever has it calls in its user's name.
        <//>
      `}
      <ul class="rows" aria-label="Tokens">
        ${pages.rows.map((token) => html`<${Row} key=${token.id} token=${token} figures=${figures} params=${params} revoke=${mayChange && (() => revoke(token.id))} />`)}
      </ul>
      <${End} pages=${pages}><p class="quiet">No tokens yet. Create one to sign in.</p><//>
    </div>
  `;
}

function Row({ token, figures, params, revoke }) {
  const { id, expires_at: expires, revoked_at: revoked, last_used_at: used } = token;
  const over = Boolean(revoked) || (expires !== null && Date.parse(expires) <= Date.now());
  return html`
    <li class="token ${over ? "over" : ""}">
      <b>${called(token)}</b>
      <span class="quiet"><code>${id}</code> ${since(token, over)}</span>
      ${revoke &&
      !over &&
      html`
        <${ConfirmButton} text="Revoke" name=${`Revoke ${called(token)}`} title=${`Revoke ${called(token)}?`} act=${revoke}>
          <p>
            Whatever uses <code>${id}</code> is let in no more, within seconds. If it is the one that you signed in with, you are signed
            out. This cannot be undone.
          </p>
        <//>
      `}
      <${Figures} figures=${figures} id=${id} terms=${{ token: id }} used=${used} params=${params} />
    </li>
  `;
}

function called({ name }) {
  return name || "a token without a name";
}

function since({ created_at: created, expires_at: expires, revoked_at: revoked }, over) {
  const end = revoked ? `revoked ${time(revoked)}` : expires ? `${over ? "expired" : "expires"} ${time(expires)}` : "never expires";
  return `created ${time(created)}, ${end}`;
}

/** No token outlives the one that it is made with. */
function lifetimes(expireBy) {
  const days = expireBy === null ? Infinity : (Date.parse(expireBy) - Date.now()) / DAY_MS;
  const shorter = LIFETIMES.filter(([number]) => number < days).map(([number, text]) => [`${number}d`, text]);
  return [...shorter, ["", expireBy === null ? "Never" : `With yours, ${time(expireBy)}`]];
}

/** `path` is the tokens' in the API; `rules` say which tokens who is signed in may create. */
function NewToken({ path, rules: { may_create: may, limit, expire_by: expireBy }, onCreated }) {
  if (!may) return html`<p class="quiet">Only owners may create tokens here. Ask one of them for yours.</p>`;
  const options = lifetimes(expireBy);
  const hint = limit === null ? undefined : `You may have ${plural(limit, "active token")}.`;
  const fields = [
    { name: "name", label: "What is it for?", placeholder: "laptop", required: true, hint },
    { name: "expires", label: "Expires after", options },
  ];
  const usual = options.some(([value]) => value === "90d") ? "90d" : "";
  return html`<p><${Addition} what="a token" path=${path} fields=${fields} initial=${{ expires: usual }} onAdded=${onCreated} /></p>`;
}

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
        ${pages.rows.map((session) => html`<${SignIn} key=${session.id} session=${session} end=${mayEnd && (() => end(session))} />`)}
      </ul>
      <${End} pages=${pages}><p class="quiet">Signed in nowhere.</p><//>
    </div>
  `;
}

function SignIn({ session, end }) {
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
