/** One policy: its fields in a form, the same as JSON, and for a user what holds in all. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { sendVersioned } from "../../server/api.js";
import { Confirm } from "../../parts/dialog.js";
import { submitting } from "../../parts/form.js";
import { Pane } from "../../parts/pane.js";
import { Failure, Pending } from "../../parts/states.js";
import { policyOf, policyText } from "./policy_form.js";
import { useChange, useVersioned } from "../../server/resource.js";
import { href } from "../../frame/router.js";
import { Explained } from "./explained.js";
import { PolicyFields } from "./policy_fields.js";

/** `at` is the path below `/policies/`: `everyone`, `groups/NAME`, `users/NAME`, `tokens/ID`. */
export function PolicyPane({ at, me, onClose, onChanged }) {
  const [level, name] = at.split(/\/(.*)/s);
  const path = `policies/${[level, name].filter(Boolean).map(encodeURIComponent).join("/")}`;
  const { kept, setKept, error, load } = useVersioned(path);
  const changed = (next) => {
    setKept(next);
    onChanged();
  };
  const isOwner = me.role === "owner";
  return html`
    <${Pane} label="Policy" title=${name || "Everyone"} mark=${html`<span class="role">${level.replace(/s$/, "")}</span>`} onClose=${onClose}>
      ${level === "users" && html`<p class="quiet"><a href=${href("usage", name)}>What ${name} has used</a> · <a href=${href("users", name)}>The user</a></p>`}
      ${level === "groups" && html`<p class="quiet"><a href=${href("groups", name)}>The group</a></p>`}
      <${Pending} data=${kept} error=${error} retry=${load} />
      ${kept && isOwner && html`<${Editor} key=${kept.version} kept=${kept} path=${path} shared=${["everyone", "groups"].includes(level)} onChanged=${changed} onStale=${load} />`}
      ${kept && !isOwner && html`<pre class="policy-text">${policyText(kept.data)}</pre><p class="quiet">Only owners may change policies.</p>`}
      ${level === "users" && html`<section><h3>What holds in all</h3><${Explained} key=${kept?.version} of=${name} limits=${true} /></section>`}
    <//>
  `;
}

function Editor({ kept, path, shared, onChanged, onStale }) {
  const before = policyText(kept.data);
  const [text, setText] = useState(before);
  const [removing, setRemoving] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const { busy, error, run } = useChange();
  const policy = policyOf(text);
  const save = () => run(async () => onChanged(await sendVersioned("PUT", path, policy, kept.version)));
  const remove = async () => {
    await sendVersioned("DELETE", path, undefined, kept.version);
    setRemoving(false);
    onStale();
  };
  return html`
    <form class="form policy" onSubmit=${submitting(save)}>
      ${policy && html`<${PolicyFields} policy=${policy} shared=${shared} onPolicy=${(next) => setText(policyText(next))} />`}
      <details open=${isOpen || !policy} onToggle=${(event) => setOpen(event.target.open)}>
        <summary>As JSON, with all that a policy can say</summary>
        <label class="field">
          <span class="said">The policy as JSON</span>
          <textarea class="policy-text" rows="14" spellcheck=${false} autocomplete="off" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        </label>
        ${!policy && html`<p class="bad" role="alert">This is no JSON object.</p>`}
      </details>
      ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? onStale : undefined} />`}
      <div class="buttons">
        <span role="status" class="quiet grow">${kept.notes && text === before ? `Saved. ${kept.notes}` : ""}</span>
        ${before !== "{}" && html`<button type="button" class="danger" disabled=${busy} onClick=${() => setRemoving(true)}>Remove</button>`}
        <button type="submit" class="primary" disabled=${busy || !policy || text === before}>Save</button>
      </div>
    </form>
    ${removing && html`<${Confirm} title="Remove this policy?" verb="Remove" act=${remove} onClose=${() => setRemoving(false)} onStale=${onStale}><p>It restricts nobody any more, on every server within seconds. What other policies say still holds.</p><//>`}
  `;
}
