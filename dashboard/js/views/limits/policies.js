/** All policies, and the chosen one beside them: its fields in a form, the same as JSON, and for a user what holds in all. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { go, href } from "../../frame/router.js";
import { ConfirmButton, NewOne, submitting } from "../../parts/forms.js";
import { End, List, Pane, Toolbar } from "../../parts/list.js";
import { Failure, Pending } from "../../parts/states.js";
import { noteOf, send } from "../../server/api.js";
import { useChange, usePages, useResource } from "../../server/resource.js";
import { plural, time } from "../../text/format.js";
import { Explained } from "./holding.js";
import { PolicyFields } from "./policy_fields.js";
import { policyOf, policyText } from "./policy_form.js";

const PAGE = 100;
const COLUMNS = "minmax(0, 1fr) minmax(0, 0.5fr) minmax(0, 3fr)";
const EVERYONE = "everyone";
const LEVELS = [["groups", "A group"], ["users", "A user"], ["tokens", "A token"]];
const SUBJECT = [
  { name: "level", label: "Of", options: LEVELS },
  { name: "name", label: "Name", hint: "Of the group, or the username; of a token the part before its hyphen.", required: true, autocapitalize: "off" },
];

/** The readable path of a policy: by the name of its subject. */
function pathOf({ level, name, path }) {
  if (level === EVERYONE) return EVERYONE;
  return name ? `${level}s/${name}` : path;
}

export default function Policies({ route: { id: chosen }, user: me }) {
  const [adding, setAdding] = useState(false);
  const pages = usePages("policies", {}, "offset", PAGE);
  const rows = pages.rows.some(({ level }) => level === EVERYONE) ? pages.rows : [{ level: EVERYONE, name: "", changed_at: null }, ...pages.rows];
  const rowOf = (row) => ({
    id: pathOf(row),
    cells: html`
      <span><b>${row.name || "Everyone"}</b></span>
      <span><span class="role">${row.level}</span></span>
      <span class="quiet" title=${row.changed_at ? `Changed ${time(row.changed_at)}` : undefined}>${row.says || "no policy"}</span>
    `,
  });
  const pane = (close) => html`<${PolicyPane} key=${chosen} at=${chosen} me=${me} onClose=${close} onChanged=${pages.reload} />`;
  return html`
    <${Toolbar} says=${pages.count === null ? "" : plural(pages.count, "policy")}>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a policy</button>`}
    <//>
    ${adding && html`<${Whose} onClose=${() => setAdding(false)} />`}
    <${List} view="policies" label="Policies" columns=${COLUMNS} rows=${rows} rowOf=${rowOf} chosen=${chosen} pane=${pane}>
      <${End} pages=${pages}><p class="quiet">Nobody is restricted by a policy.</p><//>
    <//>
  `;
}

/** The subject of a new policy. */
function Whose({ onClose }) {
  const open = async ({ level, name }) => {
    onClose();
    go(href("policies", `${level}/${name.trim()}`));
  };
  return html`<${NewOne} title="Add a policy" verb="Go on" fields=${SUBJECT} initial=${{ level: "groups" }} add=${open} onClose=${onClose} />`;
}

/** `at` is the path below `/policies/`: `everyone`, `groups/NAME`, `users/NAME`, `tokens/ID`. */
function PolicyPane({ at, me, onClose, onChanged }) {
  const [level, name] = at.split(/\/(.*)/s);
  const path = `policies/${[level, name].filter(Boolean).map(encodeURIComponent).join("/")}`;
  const { data: policy, setData, error, reload } = useResource(path);
  const changed = (next) => {
    setData(next);
    onChanged();
  };
  const isOwner = me.role === "owner";
  return html`
    <${Pane} label="Policy" title=${name || "Everyone"} mark=${html`<span class="role">${level.replace(/s$/, "")}</span>`} onClose=${onClose}>
      ${level === "users" && html`<p class="quiet"><a href=${href("usage", name)}>What ${name} has used</a> · <a href=${href("users", name)}>The user</a></p>`}
      ${level === "groups" && html`<p class="quiet"><a href=${href("groups", name)}>The group</a></p>`}
      <${Pending} data=${policy} error=${error} retry=${reload} />
      ${policy && isOwner && html`<${Editor} key=${policyText(policy)} kept=${policy} path=${path} shared=${["everyone", "groups"].includes(level)} onChanged=${changed} onRemoved=${reload} />`}
      ${policy && !isOwner && html`<pre>${policyText(policy)}</pre><p class="quiet">Only owners may change policies.</p>`}
      ${level === "users" && html`<section><h3>What holds in all</h3><${Explained} key=${JSON.stringify(policy)} of=${name} limits=${true} /></section>`}
    <//>
  `;
}

function Editor({ kept, path, shared, onChanged, onRemoved }) {
  const before = policyText(kept);
  const [text, setText] = useState(before);
  const [isOpen, setOpen] = useState(false);
  const { busy, error, run } = useChange();
  const policy = policyOf(text);
  const save = () => run(async () => onChanged(await send("PUT", path, policy, kept)));
  const remove = () => send("DELETE", path, undefined, kept).then(onRemoved);
  return html`
    <form class="form policy stack" onSubmit=${submitting(save)}>
      ${policy && html`<${PolicyFields} policy=${policy} shared=${shared} onPolicy=${(next) => setText(policyText(next))} />`}
      <details open=${isOpen || !policy} onToggle=${(event) => setOpen(event.target.open)}>
        <summary>As JSON, with all that a policy can say</summary>
        <label class="field stack">
          <span class="said">The policy as JSON</span>
          <textarea class="policy-text" rows="14" spellcheck=${false} autocomplete="off" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        </label>
        ${!policy && html`<p class="bad" role="alert">This is no JSON object.</p>`}
      </details>
      ${error && html`<${Failure} error=${error} />`}
      <div class="buttons flow">
        <span role="status" class="quiet">${noteOf(kept) && text === before ? `Saved. ${noteOf(kept)}` : ""}</span>
        ${before !== "{}" && html`<${ConfirmButton} text="Remove" title="Remove this policy?" act=${remove}><p>It restricts nobody any more, on every server within seconds. What other policies say still holds.</p><//>`}
        <button type="submit" class="primary" disabled=${busy || !policy || text === before}>Save</button>
      </div>
    </form>
  `;
}
