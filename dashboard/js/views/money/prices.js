/** The operator's own prices, each with the time from which it holds, and pricing past calls again. For owners and auditors. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Confirm, NewOne } from "../../parts/forms.js";
import { Pending } from "../../parts/states.js";
import { sendVersioned } from "../../server/api.js";
import { useVersioned } from "../../server/resource.js";
import { plural, time } from "../../text/format.js";
import { Recosts } from "./recosts.js";

const PRICES = "prices";
const MONEY = { inputmode: "decimal" };
const FIELDS = [
  { name: "provider", label: "Provider", hint: "Its name; * stands for any text.", required: true, autocapitalize: "off" },
  { name: "model", label: "Model", hint: "As clients name it; * stands for any text.", required: true, autocapitalize: "off" },
  { name: "input", label: "Input", hint: "US dollars for a million tokens.", required: true, ...MONEY },
  { name: "output", label: "Output", hint: "The same.", required: true, ...MONEY },
  { name: "cache_read", label: "Read from cache", hint: "If empty, as input.", ...MONEY },
  { name: "cache_write", label: "Written to cache", hint: "If empty, as input.", ...MONEY },
  { name: "cache_write_1h", label: "Written for an hour", hint: "If empty, as written to cache.", ...MONEY },
  { name: "valid_from", label: "Holds from", hint: "A day in UTC, such as 2026-11-01, or a timestamp.", required: true },
];

export default function Prices({ user }) {
  return html`
    <${OwnPrices} isOwner=${user.role === "owner"} />
    <${Recosts} isOwner=${user.role === "owner"} />
  `;
}

function OwnPrices({ isOwner }) {
  const { kept, setKept, error, load } = useVersioned(PRICES);
  const [editing, setEditing] = useState(null); // the number of a price; that of none is a new one
  const [removing, setRemoving] = useState(null);
  const prices = kept?.data.prices ?? [];
  const put = async (next) => {
    setKept(await sendVersioned("PUT", PRICES, { prices: next }, kept.version));
    setEditing(null);
    setRemoving(null);
  };
  return html`
    <div class="toolbar">
      <p role="status" class="quiet">
        ${kept && plural(prices.length, "price")} of your own; other models have list prices.${kept?.data.changed_at && ` Changed ${time(kept.data.changed_at)}.`}${kept?.notes && html` <b>${kept.notes}</b>`}
      </p>
      ${isOwner && kept && html`<button type="button" onClick=${() => setEditing(prices.length)}>Add a price</button>`}
    </div>
    <${Pending} data=${kept} error=${error} retry=${load} />
    ${
      prices.length > 0 &&
      html`
        <div class="card scroll" tabindex="0" role="region" aria-label="Own prices">
          <table>
            <thead>
              <tr>
                <th>Provider</th><th>Model</th><th>Holds from</th>
                <th class="number">Input</th><th class="number">Output</th><th class="number">Cache read</th><th class="number">Cache write</th>
                ${isOwner && html`<th><span class="said">Change</span></th>`}
              </tr>
            </thead>
            <tbody>
              ${prices.map((price, number) => html`<${Row} key=${number} price=${price} isOwner=${isOwner} onEdit=${() => setEditing(number)} onRemove=${() => setRemoving(number)} />`)}
            </tbody>
          </table>
          <p class="quiet">US dollars for a million tokens. What is not given for the cache costs as input.</p>
        </div>
      `
    }
    ${editing !== null && html`<${PriceDialog} price=${prices[editing]} number=${editing} onClose=${() => setEditing(null)} onStale=${load} save=${(price) => put(prices.toSpliced(editing, 1, price))} />`}
    ${
      removing !== null &&
      html`
        <${Confirm} title="Remove this price?" verb="Remove" act=${() => put(prices.toSpliced(removing, 1))} onClose=${() => setRemoving(null)} onStale=${load}>
          <p>Calls of ${prices[removing].model} that end from now on have another price of yours, or the list price. What is recorded keeps its cost.</p>
        <//>
      `
    }
  `;
}

function Row({ price, isOwner, onEdit, onRemove }) {
  const { provider, model, input, output, cache_read: read, cache_write: write, cache_write_1h: hour, valid_from: from } = price;
  return html`
    <tr>
      <td>${provider}</td><td>${model}</td><td title=${from}>${from.replace(/T00:00:00(\.000)?Z$/, "")}</td>
      <td class="number">${input}</td><td class="number">${output}</td><td class="number">${read ?? "as input"}</td><td class="number">${write ?? "as input"}${hour && `, for an hour ${hour}`}</td>
      ${
        isOwner &&
        html`<td class="number">
          <button type="button" aria-label=${`Change the price of ${model} from ${from}`} onClick=${onEdit}>Change</button>
          <button type="button" class="danger" aria-label=${`Remove the price of ${model} from ${from}`} onClick=${onRemove}>Remove</button>
        </td>`
      }
    </tr>
  `;
}

/** One price, new or changed: `price` is undefined for a new one; `save` gets what was typed, and `number` is its place in the list. */
function PriceDialog({ price, number, save, onClose, onStale }) {
  const put = async (given) => {
    try {
      await save(given);
    } catch (error) {
      for (const one of error.validations ?? []) one.field = one.field.replace(`prices[${number}].`, "");
      throw error;
    }
  };
  const initial = { valid_from: new Date().toISOString().slice(0, 10), ...price };
  const renew = () => {
    onClose();
    onStale();
  };
  return html`<${NewOne} title=${price ? "Change a price" : "Add a price"} verb="Save" fields=${FIELDS} initial=${initial} add=${put} onClose=${onClose} onStale=${renew} />`;
}
