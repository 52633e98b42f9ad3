/** Tokens of a user: those there are, and how to get one more or rid of one. */

import { html } from "htm/preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { searchFor } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { Confirm, Field, submitting } from "../../parts/forms.js";
import { End } from "../../parts/list.js";
import { Failure } from "../../parts/states.js";
import { CopyButton } from "../../parts/texts.js";
import { send } from "../../server/api.js";
import { useChange, usePages } from "../../server/resource.js";
import { plural, time } from "../../text/format.js";
import { SignIns } from "../sign_in/sign_ins.js";
import { Figures, FiguresBar, useAllPages, useFigures } from "./figures.js";
import { sortRows } from "./row_figures.js";

const PAGE = 50;
const DAY_MS = 86_400_000;
const LIFETIMES = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
  [365, "A year"],
];

/** One's own, for everybody. */
export default function OwnTokens({ route, user }) {
  return html`
    <div class="prose">
      <h2>Your tokens</h2>
      <p>
        A token tells the bridge that it is you who calls. Give <a href=${href("connect")}>each client</a> one of its own: then you can
        revoke one without the others.
      </p>
      <${Tokens} of="me" route=${route} user=${user} params=${route.params} mayChange=${true} rules=${user.tokens} />
      <h2>Where you are signed in</h2>
      <p>A browser that you signed in with a token. It is signed out with that token, or here.</p>
      <${SignIns} of="me" mayEnd=${true} />
    </div>
  `;
}

/**
 * Those of one user; `of` is the username, or `me`. `rules` say which tokens who is signed in may create. `params` has the range of
 * their figures; with `route` and `user` it can be chosen here. `onChanged` is called when there is one more or one less.
 */
export function Tokens({ of, route, user, params, mayChange, rules, onChanged = () => {} }) {
  const figures = useFigures(params, "token", searchFor({ user: of }));
  const sort = route && params.sort;
  const path = `users/${encodeURIComponent(of)}/tokens`;
  const pages = usePages(path, {}, "offset", PAGE);
  const [created, setCreated] = useState(null);
  const [revoking, setRevoking] = useState(null);
  useAllPages(pages, sort);
  const rows = sortRows(pages.rows, figures.totals ?? {}, sort, ({ last_used_at: used }) => used);
  const changed = () => {
    pages.reload();
    onChanged();
  };
  const revoke = async () => {
    await send("DELETE", `${path}/${encodeURIComponent(revoking.id)}`);
    setRevoking(null);
    changed();
  };
  return html`
    <div class="token-list">
      ${mayChange && html`<${NewToken} path=${path} rules=${rules} onCreated=${(token) => (setCreated(token), changed())} />`}
      ${created && html`<${CreatedToken} key=${created.id} token=${created} onDone=${() => setCreated(null)} />`}
      ${route && html`<${FiguresBar} route=${route} user=${user} figures=${figures} unsorted="Sort by age" />`}
      <ul class="rows" aria-label="Tokens">
        ${rows.map((token) => html`<${Row} key=${token.id} token=${token} figures=${figures} params=${params} onRevoke=${mayChange && (() => setRevoking(token))} />`)}
      </ul>
      <${End} pages=${pages}><p class="quiet">No tokens yet. Create one to sign in.</p><//>
    </div>
    ${revoking &&
    html`
      <${Confirm} title=${`Revoke ${called(revoking)}?`} verb="Revoke" act=${revoke} onClose=${() => setRevoking(null)}>
        <p>
          Whatever uses <code>${revoking.id}</code> is let in no more, within seconds. If it is the one that you signed in with, you are
          signed out. This cannot be undone.
        </p>
      <//>
    `}
  `;
}

function Row({ token, figures, params, onRevoke }) {
  const { id, expires_at: expires, revoked_at: revoked, last_used_at: used } = token;
  const over = Boolean(revoked) || (expires !== null && Date.parse(expires) <= Date.now());
  return html`
    <li class="token ${over ? "over" : ""}">
      <b>${called(token)}</b>
      <span class="quiet"><code>${id}</code> ${since(token, over)}</span>
      ${onRevoke && !over && html`<button type="button" class="danger" aria-label=${`Revoke ${called(token)}`} onClick=${onRevoke}>Revoke</button>`}
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

/** `path` is the tokens' in the API; `rules` say which tokens who is signed in may create. */
function NewToken({ path, rules, onCreated }) {
  if (!rules.may_create) return html`<p class="quiet">Only owners may create tokens here. Ask one of them for yours.</p>`;
  return html`<${NewTokenForm} path=${path} rules=${rules} onCreated=${onCreated} />`;
}

/** No token outlives the one that it is made with. */
function lifetimes(expireBy) {
  const days = expireBy === null ? Infinity : (Date.parse(expireBy) - Date.now()) / DAY_MS;
  const shorter = LIFETIMES.filter(([number]) => number < days).map(([number, text]) => [`${number}d`, text]);
  return [...shorter, ["", expireBy === null ? "Never" : `With yours, ${time(expireBy)}`]];
}

function NewTokenForm({ path, rules: { limit, expire_by: expireBy }, onCreated }) {
  const options = lifetimes(expireBy);
  const [name, setName] = useState("");
  const [expires, setExpires] = useState(options.some(([value]) => value === "90d") ? "90d" : "");
  const { busy, error, run } = useChange();
  const create = async () => {
    onCreated(await send("POST", path, { name, ...(expires && { expires }) }));
    setName("");
  };
  return html`
    <form class="form across" onSubmit=${submitting(() => run(create))}>
      <${Field} label="What is it for?" placeholder="laptop" value=${name} onText=${setName} required />
      <${Field} label="Expires after" value=${expires} options=${options} onText=${setExpires} />
      <button type="submit" class="primary" disabled=${busy}>Create token</button>
    </form>
    ${limit !== null && html`<p class="quiet">You may have ${plural(limit, "active token")}.</p>`}
    ${error && html`<${Failure} error=${error} />`}
  `;
}

/** The token itself, which only the response to its creation has. */
function CreatedToken({ token: { name, token }, onDone }) {
  const heading = useRef(null);
  useLayoutEffect(() => heading.current.focus(), []);
  return html`
    <section class="created" aria-label="New token">
      <h3 ref=${heading} tabindex="-1">Copy it now: it will not be shown again</h3>
      <p>This is ${name ? `“${name}”` : "the token"}. Treat it like a password: whoever has it calls in its user's name.</p>
      <p class="secret"><code>${token}</code> <${CopyButton} text=${token} what="token" /></p>
      <button type="button" onClick=${onDone}>Done</button>
    </section>
  `;
}
