/** Users: a list with what the calls of each add up to, and the chosen one beside it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { searchFor } from "../../bar/query.js";
import { seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Addition, ChangeForm, Confirm, Removal } from "../../parts/forms.js";
import { End, List, Pane } from "../../parts/list.js";
import { Empty, Pending } from "../../parts/states.js";
import { Created } from "../../parts/texts.js";
import { send } from "../../server/api.js";
import { usePages, useResource } from "../../server/resource.js";
import { ago, plural, time, usd } from "../../text/format.js";
import { roles } from "../../text/vocabulary.js";
import { FIGURE_COLUMNS, FIGURE_HEADS, FigureCells, FiguresBar, figuresRange, keptParams, useAllPages, useBudgets, useFigures, useWords } from "./figures.js";
import { sortRows } from "./row_figures.js";
import { LIFETIMES, SignIns, Tokens } from "./tokens.js";

const PAGE = 100;
const COLUMNS = `minmax(0, 1fr) 80px 80px ${FIGURE_COLUMNS} 110px`;
const HEADS = html`<span>User</span><span>Role</span><span>Tokens</span>${FIGURE_HEADS}<span class="figure">Used</span>`;
const NAME = { name: "name", label: "Name", hint: "If empty, the username is shown." };

export default function Users({ route: { id, params }, route, user: me, onMyself }) {
  const chosen = id === "me" ? me.username : id;
  const pages = usePages("users", {}, "offset", PAGE);
  const [invited, setInvited] = useState(null);
  const figures = useFigures(params, "user");
  const budgets = useBudgets("user");
  const kept = keptParams(params);
  const { has, field, isOn } = useWords("Find a user");
  useAllPages(pages, params.sort || isOn);
  const found = pages.rows.filter(({ username, name }) => has(username, name));
  const rows = sortRows(found, figures.totals ?? {}, params.sort, ({ last_seen_at: seen }) => seen);
  const show = (name = "") => {
    pages.reload();
    go(href("users", name, kept));
  };
  const rowOf = ({ id: key, username, name, role, active_tokens: tokens, last_seen_at: seen }) => ({
    id: username,
    key,
    cells: html`
      <span><b>${name}</b> ${name !== username && html`<span class="quiet">${username}</span>`}</span>
      <span><span class="role">${role}</span></span>
      <span class="quiet">${tokens ? plural(tokens, "token") : "no token"}</span>
      <${FigureCells} totals=${figures.totals} id=${key} budget=${budgets[username]} />
      <span class="quiet figure">${seen ? ago(seen) : "never"}</span>
    `,
  });
  const pane = (close) =>
    html`<${UserPane} key=${chosen} of=${chosen} me=${me} params=${params} onClose=${close} onChanged=${pages.reload} onRemoved=${() => show()} onMyself=${onMyself} />`;
  return html`
    <${FiguresBar} route=${route} user=${me} id=${chosen} figures=${figures} field=${field} count=${pages.count !== null && plural(pages.count, "user")}>
      ${
        me.role === "owner" &&
        html`
          <${Addition} what="a user" path="users" fields=${fieldsOfNew()} initial=${{ role: "member" }} onAdded=${({ username }) => show(username)} />
          <${Addition} verb="Invite" what="a guest" path="invitations" fields=${INVITATION} initial=${{ expires: "7d" }} onAdded=${(one) => (setInvited(one), pages.reload())} />
        `
      }
    <//>
    ${
      invited &&
      html`
        <${Created} label="Invitation" heading=${`Send this link to ${invited.user.name}`} secret=${invited.link} what="link" onDone=${() => setInvited(null)}>
          It signs them in once, within seven days, and shows them what to set up. All that they have ends ${time(invited.expires_at)}.
        <//>
      `
    }
    <${List} view="users" label="Users" columns=${COLUMNS} heads=${HEADS} rows=${rows} rowOf=${rowOf} chosen=${chosen} kept=${kept} pane=${pane}>
      ${isOn && pages.done ? !rows.length && html`<p class="quiet">No user has these words in their name.</p>` : html`<${End} pages=${pages} />`}
    <//>
  `;
}

const USERNAME = { name: "username", label: "Username", hint: "A mail address, or letters, digits and . _ + - @; case makes no difference.", required: true, autocapitalize: "off" };
const INVITATION = [
  USERNAME,
  { name: "expires", label: "Ends after", options: LIFETIMES.map(([days, text]) => [`${days}d`, text]) },
  { name: "usd", label: "US dollars in all", inputmode: "decimal", hint: "Empty: no budget of their own." },
  { name: "models", label: "Models allowed", rows: 3, hint: "One pattern a line, such as claude-*. Empty: all.", read: (text) => text.split("\n").map((one) => one.trim()).filter(Boolean) },
];

function fieldsOfNew() {
  return [USERNAME, NAME, { name: "role", label: "Role", options: roles() }];
}

/** In place of a user who is not there. Limits still count for a while what a removed one used, and records stay. */
export function NoUser({ username }) {
  const calls = href("interceptions", "", { q: searchFor({ user: username }) });
  return html`<${Empty} title="There is no such user"><p>They may have been removed; their <a href=${calls}>calls</a> stay.</p><//>`;
}

/** `of` is the username. `onMyself` is called first when who is signed in has changed themselves: they may have lost what they see here. */
function UserPane({ of, me, params, onClose, onChanged, onRemoved, onMyself }) {
  const { data: user, error, reload } = useResource(`users/${encodeURIComponent(of)}`);
  const isGone = error?.status === 404;
  const changed = async () => {
    if (user.id === me.id) await onMyself();
    reload();
    onChanged();
  };
  return html`
    <${Pane} label="User" title=${user?.name ?? of} mark=${user && html`<span class="role">${user.role}</span>`} onClose=${onClose}>
      ${isGone
        ? html`<${NoUser} username=${of} />`
        : html`<${Pending} data=${user} error=${error} retry=${reload} />`}
      ${user && !isGone && html`<${Body} user=${user} me=${me} params=${params} onChanged=${changed} onRemoved=${onRemoved} />`}
    <//>
  `;
}

function Body({ user, me, params, onChanged, onRemoved }) {
  const { username, created_at: created, active_tokens: tokens } = user;
  const mayChange = me.role === "owner";
  const mine = searchFor({ user: username });
  return html`
    <p class="quiet">
      ${username}, added ${time(created)}. <a href=${href("interceptions", "", { q: mine })}>Calls</a>${" "}
      · <a href=${href("explore", "", { q: mine, by: "model", ...figuresRange(params) })}>By model</a>${" "}
      · <a href=${href("usage", username)}>Usage</a>${seesEverything(me) && html` · <a href=${href("policies", `users/${username}`)}>Policy</a>`}
    </p>
    <p class="quiet">
      ${usd(user.spend_usd)} spent this month.
      ${user.groups.length > 0 && html` In ${user.groups.map(({ id, name: group }, number) => html`${number > 0 && ", "}<a key=${id} href=${href("groups", group)}>${group}</a>`)}.`}
    </p>
    ${mayChange ? html`<${Change} user=${user} me=${me} onChanged=${onChanged} />` : html`<p class="quiet">Only owners may change users.</p>`}
    ${
      (seesEverything(me) || user.id === me.id) &&
      html`
        <section><h3>Tokens</h3><${Tokens} of=${username} params=${params} mayChange=${mayChange || user.id === me.id} rules=${me.tokens} onChanged=${onChanged} /></section>
        <section><h3>Signed in</h3><${SignIns} of=${username} mayEnd=${mayChange || user.id === me.id} /></section>
      `
    }
    ${
      mayChange &&
      html`
        <${Removal} what="this user" title=${`Remove ${username}?`} remove=${() => send("DELETE", `users/${encodeURIComponent(username)}`).then(onRemoved)}>
          <p>${tokens ? `${plural(tokens, "token")} will stop working.` : "They have no active tokens."} Records of their calls stay, and the username becomes free. This cannot be undone.</p>
        <//>
      `
    }
  `;
}

function Change({ user, me, onChanged }) {
  const [giving, setGiving] = useState(null);
  const fields = [NAME, { name: "role", label: "Role", options: roles() }];
  const patch = (change) => send("PATCH", `users/${encodeURIComponent(user.username)}`, change).then(onChanged);
  const save = (change) => (user.id === me.id && change.role ? setGiving(change) : patch(change));
  return html`
    <${ChangeForm} fields=${fields} initial=${{ name: user.name, role: user.role }} save=${save} />
    ${giving &&
    html`
      <${Confirm} title="Give up being an owner?" verb="Give it up" act=${() => patch(giving)} onClose=${() => setGiving(null)}>
        <p>You can then no longer change users. Only another owner can make you an owner again.</p>
      <//>
    `}
  `;
}
