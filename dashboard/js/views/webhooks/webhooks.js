/** Webhooks for alerts: a list, and the chosen one beside it. For owners. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { ago, plural } from "../../text/format.js";
import { useOpenRow } from "../../frame/keys.js";
import { AdminTabs } from "../../frame/admin_tabs.js";
import { CopyButton } from "../../parts/copy.js";
import { TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";
import { Pane } from "../../parts/pane.js";
import { Empty, NotForYou, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { WebhookPane } from "./webhook.js";

const EVERY_MS = 10_000;
const LINKS = ".rows a.policy-row";

export function Webhooks({ route, user }) {
  if (user.role !== "owner") return html`<${NotForYou} what="webhooks" who="owners" />`;
  return html`<${List} chosen=${route.id} me=${user} />`;
}

function List({ chosen, me }) {
  const [adding, setAdding] = useState(false);
  const [added, setAdded] = useState(null);
  const { data, error, reload } = useResource("webhooks", {}, { every: EVERY_MS });
  const rows = data?.results ?? [];
  const found = rows.find(({ id }) => id === chosen);
  const close = useOpenRow(LINKS, chosen, href("webhooks"));
  return html`
    <${AdminTabs} view="webhooks" user=${me} />
    <div class="toolbar">
      <p role="status" class="quiet">${data ? plural(rows.length, "webhook") : ""}</p>
      <button type="button" onClick=${() => setAdding(true)}>Add a webhook</button>
    </div>
    ${adding && html`<${AddWebhook} onAdded=${(webhook) => (setAdding(false), setAdded(webhook), reload(), go(href("webhooks", webhook.id)))} onClose=${() => setAdding(false)} />`}
    ${added && html`<${Secret} webhook=${added} onDone=${() => setAdded(null)} />`}
    <${Pending} data=${data} error=${error} retry=${reload} />
    ${data && !rows.length && html`<${Empty} title="Nobody is told of alerts"><p>Budgets that run out, keys that are refused, open circuits: a webhook is told, signed, within seconds.</p><//>`}
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Webhooks">
        <ol class="rows">${rows.map((one) => html`<${Row} key=${one.id} webhook=${one} chosen=${one === found} />`)}</ol>
      </section>
      ${found && html`<${WebhookPane} key=${found.id} id=${found.id} onClose=${close} onChanged=${reload} onRemoved=${() => (reload(), go(href("webhooks")))} />`}
      ${chosen && !found && data && html`<${Pane} label="Webhook" title="Webhook" onClose=${close}><${Empty} title="There is no such webhook" /><//>`}
    </div>
  `;
}

/** What became of the last try in a few words. */
function lastOf({ disabled, waiting, last_delivery: last }) {
  if (disabled) return "off";
  const said = last ? `${last.error ? "failed" : "delivered"} ${ago(last.at)}` : "nothing sent yet";
  return waiting ? `${said}, ${waiting} waiting` : said;
}

function Row({ webhook, chosen }) {
  const { id, url, description, types, last_delivery: last } = webhook;
  return html`
    <li>
      <a class="policy-row" href=${href("webhooks", id)} data-name=${id} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${description || url}</b> ${description && html`<span class="quiet">${url}</span>`}</span>
        <span class="quiet">${plural(types.length, "type")}</span>
        <span class=${last?.error ? "bad" : "quiet"}>${lastOf(webhook)}</span>
      </a>
    </li>
  `;
}

function AddWebhook({ onAdded, onClose }) {
  const [url, setUrl] = useState("");
  const [description, setDescription] = useState("");
  const add = () => send("POST", "webhooks", { url, description }).then(onAdded);
  return html`
    <${DialogForm} title="Add a webhook" verb="Add" save=${add} onClose=${onClose}>
      <${TextField} label="URL" hint="https; http is allowed to this machine alone." value=${url} onText=${setUrl} required inputmode="url" />
      <${TextField} label="Description" hint="In your words." value=${description} onText=${setDescription} />
    <//>
  `;
}

function Secret({ webhook: { secret, url }, onDone }) {
  return html`
    <section class="created" aria-label="The secret">
      <h3>The secret of ${url}</h3>
      <p>The receiver checks signatures with it (Standard Webhooks). It is shown this once.</p>
      <p class="secret"><code>${secret}</code> <${CopyButton} text=${secret} what="the secret" /></p>
      <button type="button" onClick=${onDone}>Done</button>
    </section>
  `;
}
