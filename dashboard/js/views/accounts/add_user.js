/** One more who may call. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { Dialog } from "../../parts/dialog.js";
import { ChoiceField, TextField } from "../../parts/field.js";
import { Failure } from "../../parts/states.js";
import { useChange } from "../../server/resource.js";

/** What each role may, in the order in which they are offered. */
export const ROLES = [
  ["member", "Member: sees their own calls"],
  ["reader", "Reader: sees everybody's figures, no prompts"],
  ["auditor", "Auditor: sees everybody's"],
  ["owner", "Owner: sees everybody's and changes users"],
];

export function AddUser({ onAdded, onClose }) {
  const [username, setUsername] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState("member");
  const { busy, error, run } = useChange();
  const submit = (event) => {
    event.preventDefault();
    run(() => send("POST", "users", { username, display_name: name, role }).then(onAdded));
  };
  return html`
    <${Dialog} title="Add a user" onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <${TextField} label="Username" hint="A mail address, or letters, digits and . _ + - @; case makes no difference." value=${username} onText=${setUsername} required autocapitalize="off" />
        <${TextField} label="Display name" hint="If empty, the username is shown." value=${name} onText=${setName} />
        <${ChoiceField} label="Role" value=${role} options=${ROLES} onChoose=${setRole} />
        ${error && html`<${Failure} error=${error} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy}>Add</button>
        </div>
      </form>
    <//>
  `;
}
