/** One group: its members, its spend, and changes. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send, sendVersioned } from "../../server/api.js";
import { plural, time } from "../../text/format.js";
import { Removal } from "../../parts/dialog.js";
import { End } from "../../parts/end.js";
import { TextField } from "../../parts/field.js";
import { ChangeForm, submitting } from "../../parts/form.js";
import { Pane } from "../../parts/pane.js";
import { Failure, Pending } from "../../parts/states.js";
import { useChange, usePages, useVersioned } from "../../server/resource.js";
import { href } from "../../frame/router.js";
import { seesEverything } from "../../frame/shell.js";

const PAGE = 100;

/** `onChanged` gets the name that the group has now. */
export function GroupPane({ name, me, onClose, onChanged, onRemoved, onMembers }) {
  const path = `groups/${encodeURIComponent(name)}`;
  const { kept, setKept, error, load } = useVersioned(path);
  const group = kept?.data;
  const isOwner = me.role === "owner";
  const remove = () => sendVersioned("DELETE", path, undefined, kept.version).then(onRemoved);
  const counted = () => {
    load();
    onMembers();
  };
  return html`
    <${Pane} label="Group" title=${group?.display_name ?? name} onClose=${onClose}>
      <${Pending} data=${kept} error=${error} retry=${load} />
      ${
        group &&
        html`
          <p class="quiet">
            ${group.name}, added ${time(group.created_at)}, ${plural(group.members, "member")}.
            ${seesEverything(me) && html` <a href=${href("policies", `groups/${group.name}`)}>Policy</a>`}
          </p>
          ${isOwner && html`<${Change} key=${kept.version} kept=${kept} path=${path} onChanged=${(answer) => (setKept(answer), onChanged(answer.data.name))} onStale=${load} />`}
          <section><h3>Members</h3><${Members} path=${path} mayChange=${isOwner} onChanged=${counted} /></section>
          ${
            isOwner &&
            html`
              <${Removal} what="this group" title=${`Remove ${group.name}?`} remove=${remove} onStale=${load}>
                <p>Its members stay users, and its service tokens stop working. A group with a policy cannot be removed. This cannot be undone.</p>
              <//>
            `
          }
        `
      }
    <//>
  `;
}

function Change({ kept: { data, version }, path, onChanged, onStale }) {
  const [name, setName] = useState(data.name);
  const [shown, setShown] = useState(data.display_name);
  const fields = { ...(name !== data.name && { name }), ...(shown !== data.display_name && { display_name: shown }) };
  const save = async () => onChanged(await sendVersioned("PATCH", path, fields, version));
  return html`
    <${ChangeForm} fields=${fields} save=${save} onStale=${onStale}>
      <${TextField} label="Name" value=${name} onText=${setName} required autocapitalize="off" />
      <${TextField} label="Display name" hint="If empty, the name is shown." value=${shown} onText=${setShown} />
    <//>
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
  const add = () => put("PUT", name.trim()).then(() => setName(""));
  return html`
    <div class="token-list">
      ${
        mayChange &&
        html`
          <form class="form across one" onSubmit=${submitting(() => run(add))}>
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
