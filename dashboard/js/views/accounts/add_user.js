/** One more who may call. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { ChoiceField, TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";

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
  const add = () => send("POST", "users", { username, display_name: name, role }).then(onAdded);
  return html`
    <${DialogForm} title="Add a user" verb="Add" save=${add} onClose=${onClose}>
      <${TextField} label="Username" hint="A mail address, or letters, digits and . _ + - @; case makes no difference." value=${username} onText=${setUsername} required autocapitalize="off" />
      <${TextField} label="Display name" hint="If empty, the username is shown." value=${name} onText=${setName} />
      <${ChoiceField} label="Role" value=${role} options=${ROLES} onChoose=${setRole} />
    <//>
  `;
}
