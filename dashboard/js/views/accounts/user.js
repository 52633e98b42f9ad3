/** One user: what may be changed of them, their tokens, and removing them. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { plural, time, usd } from "../../text/format.js";
import { Confirm, Removal } from "../../parts/dialog.js";
import { ChoiceField, TextField } from "../../parts/field.js";
import { submitting } from "../../parts/form.js";
import { Pane } from "../../parts/pane.js";
import { Failure, Pending } from "../../parts/states.js";
import { searchFor } from "../../bar/query.js";
import { useChange, useResource } from "../../server/resource.js";
import { href } from "../../frame/router.js";
import { seesEverything } from "../../frame/shell.js";
import { ROLES } from "./add_user.js";
import { SignIns } from "../sign_in/sign_ins.js";
import { figuresRange } from "./figures.js";
import { NoUser } from "./no_user.js";
import { Tokens } from "./tokens.js";

/** `of` is the username. `onMyself` is called first when who is signed in has changed themselves: they may have lost what they see here. */
export function UserPane({ of, me, params, onClose, onChanged, onRemoved, onMyself }) {
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
  const { username, created_at: created } = user;
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
    ${mayChange && html`<${UserRemoval} user=${user} onRemoved=${onRemoved} />`}
  `;
}

function Change({ user, me, onChanged }) {
  const [name, setName] = useState(user.name);
  const [role, setRole] = useState(user.role);
  const [confirming, setConfirming] = useState(false);
  const [saved, setSaved] = useState(false);
  const { busy, error, run } = useChange();
  const fields = { ...(name !== user.name && { display_name: name }), ...(role !== user.role && { role }) };
  const unchanged = !Object.keys(fields).length;
  const save = async () => {
    const changed = await send("PATCH", `users/${encodeURIComponent(user.username)}`, fields);
    setConfirming(false);
    setName(changed.name);
    setSaved(true);
    onChanged();
  };
  const submit = submitting(() => (user.id === me.id && fields.role ? setConfirming(true) : run(save)));
  return html`
    <form class="form" onSubmit=${submit}>
      <${TextField} label="Display name" hint="If empty, the username is shown." value=${name} onText=${setName} />
      <${ChoiceField} label="Role" value=${role} options=${ROLES} onChoose=${setRole} />
      ${error && html`<${Failure} error=${error} />`}
      <div class="buttons">
        <span role="status" class="quiet">${saved && unchanged ? "Saved" : ""}</span>
        <button type="submit" class="primary" disabled=${busy || unchanged}>Save</button>
      </div>
    </form>
    ${confirming &&
    html`
      <${Confirm} title="Give up being an owner?" verb="Give it up" act=${save} onClose=${() => setConfirming(false)}>
        <p>You can then no longer change users. Only another owner can make you an owner again.</p>
      <//>
    `}
  `;
}

function UserRemoval({ user: { username, active_tokens: tokens }, onRemoved }) {
  const remove = () => send("DELETE", `users/${encodeURIComponent(username)}`).then(onRemoved);
  return html`
    <${Removal} what="this user" title=${`Remove ${username}?`} remove=${remove}>
      <p>
        ${tokens ? `${plural(tokens, "token")} will stop working.` : "They have no active tokens."}${" "}
        Records of their calls stay, and the username becomes free. This cannot be undone.
      </p>
    <//>
  `;
}
