/** One webhook: its alerts, its state, and its last deliveries. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send, sendVersioned } from "../../server/api.js";
import { plural, time } from "../../text/format.js";
import { Removal } from "../../parts/dialog.js";
import { TextField } from "../../parts/field.js";
import { ChangeForm } from "../../parts/form.js";
import { Pane } from "../../parts/pane.js";
import { Failure, Pending } from "../../parts/states.js";
import { useChange, useResource, useVersioned } from "../../server/resource.js";

const EVERY_MS = 3000;
/** The types of alerts, with their texts. */
const TYPES = [
  ["budget.threshold", "50, 80 or 100 % of a budget are used"],
  ["provider.key_refused", "a provider refuses a key"],
  ["provider.circuit_open", "a circuit is open"],
  ["user.owner_added", "somebody became an owner"],
  ["digest.weekly", "each Monday: what calls of the week cost"],
];

export function WebhookPane({ id, onClose, onChanged, onRemoved }) {
  const path = `webhooks/${id}`;
  const { kept, setKept, error, load } = useVersioned(path);
  const remove = () => sendVersioned("DELETE", path, undefined, kept.version).then(onRemoved);
  const changed = (next) => {
    setKept(next);
    onChanged();
  };
  return html`
    <${Pane} label="Webhook" title=${kept?.data.description || "Webhook"} mark=${kept?.data.disabled && html`<span class="role">off</span>`} onClose=${onClose}>
      <${Pending} data=${kept} error=${error} retry=${load} />
      ${
        kept &&
        html`
          <p class="quiet">${kept.data.url}, added ${time(kept.data.created_at)}</p>
          <section><h3>Alerts</h3><${Types} kept=${kept} path=${path} onChanged=${changed} onStale=${load} /></section>
          <section><h3>Deliveries</h3><${Deliveries} path=${path} onSent=${onChanged} /></section>
          <${Change} key=${kept.version} kept=${kept} path=${path} onChanged=${changed} onStale=${load} />
          <${Removal} what="this webhook" title="Remove this webhook?" remove=${remove} onStale=${load}>
            <p>${kept.data.url} is told nothing any more, also of what still waits. This cannot be undone.</p>
          <//>
        `
      }
    <//>
  `;
}

/** A switch for each type, and one for all. */
function Types({ kept: { data, version }, path, onChanged, onStale }) {
  const { busy, error, run } = useChange();
  const patch = (change) => run(async () => onChanged(await sendVersioned("PATCH", path, change, version)));
  const turn = (type) => patch({ types: data.types.includes(type) ? data.types.filter((one) => one !== type) : [...data.types, type] });
  return html`
    <ul class="switches">
      ${TYPES.map(
        ([type, about]) => html`
          <li key=${type}>
            <label><input type="checkbox" checked=${data.types.includes(type)} disabled=${busy} onChange=${() => turn(type)} /> <code>${type}</code> <span class="quiet">${about}</span></label>
          </li>
        `,
      )}
    </ul>
    <p><button type="button" disabled=${busy} onClick=${() => patch({ disabled: !data.disabled })}>${data.disabled ? "Turn it on" : "Turn it off"}</button></p>
    ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? onStale : undefined} />`}
  `;
}

function Deliveries({ path, onSent }) {
  const { data, error, reload } = useResource(`${path}/deliveries`, {}, { every: EVERY_MS });
  const test = useChange();
  const sent = () => {
    reload();
    onSent();
  };
  const rows = data?.results ?? [];
  return html`
    <p><button type="button" disabled=${test.busy} onClick=${() => test.run(() => send("POST", `${path}/test`).then(sent))}>Send a test</button></p>
    ${(error ?? test.error) && html`<${Failure} error=${error ?? test.error} retry=${reload} />`}
    <ul class="rows" aria-label="Deliveries">
      ${rows.map(
        ({ id, type, state, raised_at: raised, attempts, status, error: why, next_at: next }) => html`
          <li key=${id} class="token">
            <b>${type} <span class=${state === "failed" ? "role bad" : "role"}>${state}</span></b>
            <span class="quiet">${time(raised)}${attempts > 0 && `, ${attempts === 1 ? "tried once" : `tried ${plural(attempts, "time")}`}`}${status !== null && `, answered ${status}`}${why && `: ${why}`}${next && attempts > 0 && `; again at ${time(next)}`}</span>
          </li>
        `,
      )}
    </ul>
    ${data && !rows.length && html`<p class="quiet">Nothing was sent in the last 30 days.</p>`}
  `;
}

function Change({ kept: { data, version }, path, onChanged, onStale }) {
  const [url, setUrl] = useState(data.url);
  const [description, setDescription] = useState(data.description);
  const fields = { ...(url !== data.url && { url }), ...(description !== data.description && { description }) };
  const save = async () => onChanged(await sendVersioned("PATCH", path, fields, version));
  return html`
    <${ChangeForm} fields=${fields} save=${save} onStale=${onStale}>
      <${TextField} label="URL" value=${url} onText=${setUrl} required inputmode="url" />
      <${TextField} label="Description" value=${description} onText=${setDescription} />
    <//>
  `;
}
