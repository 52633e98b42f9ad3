/** Webhooks for alerts: a list, and the chosen one beside it, with its alerts, its state and its last deliveries. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { go, href } from "../../frame/router.js";
import { Addition, ChangeForm, Removal } from "../../parts/forms.js";
import { List, Pane, Toolbar } from "../../parts/list.js";
import { Empty, Failure, Pending } from "../../parts/states.js";
import { Created } from "../../parts/texts.js";
import { send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { ago, plural, time } from "../../text/format.js";
import { alerts } from "../../text/vocabulary.js";

const EVERY_MS = 10_000;
const DELIVERIES_EVERY_MS = 3000;
const COLUMNS = "minmax(0, 1.6fr) minmax(0, 0.7fr) minmax(0, 1fr)";
const URL_FIELD = { name: "url", label: "URL", required: true, inputmode: "url" };
const FIELDS = [URL_FIELD, { name: "description", label: "Description" }];
const FIELDS_OF_NEW = [
  { ...URL_FIELD, hint: "https; http is allowed to this machine alone." },
  { ...FIELDS[1], hint: "In your words." },
];

export default function Webhooks({ route: { id: chosen } }) {
  const [added, setAdded] = useState(null);
  const { data, error, reload } = useResource("webhooks", {}, { every: EVERY_MS });
  const rows = data?.results ?? [];
  const show = (id = "") => {
    reload();
    go(href("webhooks", id));
  };
  const keep = (webhook) => {
    setAdded(webhook);
    show(webhook.id);
  };
  const rowOf = (webhook) => ({
    id: webhook.id,
    cells: html`
      <span><b>${webhook.description || webhook.url}</b> ${webhook.description && html`<span class="quiet">${webhook.url}</span>`}</span>
      <span class="quiet">${plural(webhook.types.length, "type")}</span>
      <span class=${webhook.last_delivery?.error ? "bad" : "quiet"}>${lastOf(webhook)}</span>
    `,
  });
  const pane = (close) => html`<${WebhookPane} key=${chosen} id=${chosen} onClose=${close} onChanged=${reload} onRemoved=${() => show()} />`;
  return html`
    <${Toolbar} says=${data ? plural(rows.length, "webhook") : ""}>
      <${Addition} what="a webhook" path="webhooks" fields=${FIELDS_OF_NEW} onAdded=${keep} />
    <//>
    ${added && 
    html`
      <${Created} label="The secret" heading=${`The secret of ${added.url}`} secret=${added.secret} what="the secret" onDone=${() => setAdded(null)}>
        The receiver checks signatures with it (Standard Webhooks). It is shown this once.
      <//>
    `}
    <${Pending} data=${data} error=${error} retry=${reload} />
    ${data && !rows.length && html`<${Empty} title="Nobody is told of alerts"><p>Budgets that run out, keys that are refused, open circuits: a webhook is told, signed, within seconds.</p><//>`}
    <${List} view="webhooks" label="Webhooks" columns=${COLUMNS} rows=${rows} rowOf=${rowOf} chosen=${chosen} pane=${pane} />
  `;
}

/** What became of the last try in a few words. */
function lastOf({ disabled, waiting, last_delivery: last }) {
  if (disabled) return "off";
  const said = last ? `${last.error ? "failed" : "delivered"} ${ago(last.at)}` : "nothing sent yet";
  return waiting ? `${said}, ${waiting} waiting` : said;
}

function WebhookPane({ id, onClose, onChanged, onRemoved }) {
  const path = `webhooks/${id}`;
  const { data: webhook, setData, error, reload } = useResource(path);
  const remove = () => send("DELETE", path, undefined, webhook).then(onRemoved);
  const patch = async (change) => {
    setData(await send("PATCH", path, change, webhook));
    onChanged();
  };
  return html`
    <${Pane} label="Webhook" title=${webhook?.description || "Webhook"} mark=${webhook?.disabled && html`<span class="role">off</span>`} onClose=${onClose}>
      <${Pending} data=${webhook} error=${error} retry=${reload} />
      ${
        webhook &&
        html`
          <p class="quiet">${webhook.url}, added ${time(webhook.created_at)}</p>
          <section><h3>Alerts</h3><${Types} webhook=${webhook} patch=${patch} /></section>
          <section><h3>Deliveries</h3><${Deliveries} path=${path} onSent=${onChanged} /></section>
          <${ChangeForm} fields=${FIELDS} initial=${{ url: webhook.url, description: webhook.description }} save=${patch} />
          <${Removal} what="this webhook" title="Remove this webhook?" remove=${remove}>
            <p>${webhook.url} is told nothing any more, also of what still waits. This cannot be undone.</p>
          <//>
        `
      }
    <//>
  `;
}

/** A switch for each type, and one for all. */
function Types({ webhook: { types, disabled }, patch }) {
  const { busy, error, run } = useChange();
  const turn = (type) => run(() => patch({ types: types.includes(type) ? types.filter((one) => one !== type) : [...types, type] }));
  return html`
    <ul class="switches stack">
      ${alerts().map(
        ([type, about]) => html`
          <li key=${type}>
            <label><input type="checkbox" checked=${types.includes(type)} disabled=${busy} onChange=${() => turn(type)} /> <code>${type}</code> <span class="quiet">${about}</span></label>
          </li>
        `,
      )}
    </ul>
    <p><button type="button" disabled=${busy} onClick=${() => run(() => patch({ disabled: !disabled }))}>${disabled ? "Turn it on" : "Turn it off"}</button></p>
    ${error && html`<${Failure} error=${error} />`}
  `;
}

function Deliveries({ path, onSent }) {
  const { data, error, reload } = useResource(`${path}/deliveries`, {}, { every: DELIVERIES_EVERY_MS });
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
