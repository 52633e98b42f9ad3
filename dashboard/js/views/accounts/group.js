/** One group: its members, its spend, and changes. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { getVersioned, send, sendVersioned } from "../../server/api.js";
import { plural, time } from "../../text/format.js";
import { Confirm } from "../../parts/dialog.js";
import { End } from "../../parts/end.js";
import { TextField } from "../../parts/field.js";
import { Pane } from "../../parts/pane.js";
import { Failure, Loading } from "../../parts/states.js";
import { useChange, usePages } from "../../server/resource.js";
import { href } from "../../frame/router.js";
import { seesEverything } from "../../frame/shell.js";

const PAGE = 100;

/** `onChanged` gets the name that the group has now. */
export function GroupPane({ name, me, onClose, onChanged, onRemoved, onMembers }) {
  const path = `groups/${encodeURIComponent(name)}`;
  const [kept, setKept] = useState(null);
  const [error, setError] = useState(null);
  const load = () => {
    setError(null);
    getVersioned(path).then(setKept, setError);
  };
  useEffect(load, [path]);
  const group = kept?.data;
  const isOwner = me.role === "owner";
  const counted = () => {
    load();
    onMembers();
  };
  return html`
    <${Pane} label="Group" title=${group?.display_name ?? name} onClose=${onClose}>
      ${error && html`<${Failure} error=${error} retry=${load} />`}
      ${!kept && !error && html`<${Loading} />`}
      ${
        group &&
        html`
          <p class="quiet">
            ${group.name}, added ${time(group.created_at)}, ${plural(group.members, "member")}.
            ${seesEverything(me) && html` <a href=${href("policies", `groups/${group.name}`)}>Policy</a>`}
          </p>
          ${isOwner && html`<${Change} key=${kept.version} kept=${kept} path=${path} onChanged=${(answer) => (setKept(answer), onChanged(answer.data.name))} onStale=${load} />`}
          <section><h3>Members</h3><${Members} path=${path} mayChange=${isOwner} onChanged=${counted} /></section>
          ${isOwner && html`<${Removal} kept=${kept} path=${path} onRemoved=${onRemoved} />`}
        `
      }
    <//>
  `;
}

function Change({ kept: { data, version }, path, onChanged, onStale }) {
  const [name, setName] = useState(data.name);
  const [shown, setShown] = useState(data.display_name);
  const { busy, error, run } = useChange();
  const fields = { ...(name !== data.name && { name }), ...(shown !== data.display_name && { display_name: shown }) };
  const submit = (event) => {
    event.preventDefault();
    run(async () => onChanged(await sendVersioned("PATCH", path, fields, version)));
  };
  return html`
    <form class="form" onSubmit=${submit}>
      <${TextField} label="Name" value=${name} onText=${setName} required autocapitalize="off" />
      <${TextField} label="Display name" hint="If empty, the name is shown." value=${shown} onText=${setShown} />
      ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? onStale : undefined} />`}
      <div class="buttons"><button type="submit" class="primary" disabled=${busy || !Object.keys(fields).length}>Save</button></div>
    </form>
  `;
}

function Members({ path, mayChange, onChanged }) {
  const pages = usePages(`${path}/members`, {}, "offset", PAGE);
  const [name, setName] = useState("");
  const { busy, error, run } = useChange();
  const changed = () => {
    pages.reload();
    onChanged();
  };
  const put = (method, username) => send(method, `${path}/members/${encodeURIComponent(username)}`).then(changed);
  const submit = (event) => {
    event.preventDefault();
    run(() => put("PUT", name.trim()).then(() => setName("")));
  };
  return html`
    <div class="token-list">
      ${
        mayChange &&
        html`
          <form class="form across one" onSubmit=${submit}>
            <${TextField} label="Username" value=${name} onText=${setName} required autocapitalize="off" />
            <button type="submit" disabled=${busy}>Add a member</button>
          </form>
          ${error && html`<${Failure} error=${error} />`}
        `
      }
      <ul class="rows" aria-label="Members">
        ${pages.rows.map(
          ({ id, username, name: shown, role }) => html`
            <li key=${id} class="token">
              <b><a href=${href("users", username)}>${shown}</a></b>
              <span class="quiet">${username !== shown && `${username}, `}${role}</span>
              ${mayChange && html`<button type="button" disabled=${busy} aria-label=${`Take out ${username}`} onClick=${() => run(() => put("DELETE", username))}>Take out</button>`}
            </li>
          `,
        )}
      </ul>
      <${End} pages=${pages}><p class="quiet">Nobody is in it yet.</p><//>
    </div>
  `;
}

function Removal({ kept: { data, version }, path, onRemoved }) {
  const [asking, setAsking] = useState(false);
  const remove = () => sendVersioned("DELETE", path, undefined, version).then(onRemoved);
  return html`
    <section><button type="button" class="danger" onClick=${() => setAsking(true)}>Remove this group</button></section>
    ${asking &&
    html`
      <${Confirm} title=${`Remove ${data.name}?`} verb="Remove" act=${remove} onClose=${() => setAsking(false)}>
        <p>Its members stay users, and its service tokens stop working. A group with a policy cannot be removed. This cannot be undone.</p>
      <//>
    `}
  `;
}
