/** The operator's own prices, what called models cost, and pricing past calls again. For owners and auditors. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Table, Track } from "../../parts/figures.js";
import { ConfirmButton, LineForm, NewOne } from "../../parts/forms.js";
import { Toolbar } from "../../parts/list.js";
import { Failure, Pending } from "../../parts/states.js";
import { noteOf, send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { percent, plural, time, UNKNOWN, usd, whole } from "../../text/format.js";

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
const OF_TOKENS = ["Input", "Output", "Cache read", "Cache write"].map((name) => html`<th class="number">${name}</th>`);
const PATH = "prices/recosts";
const WHILE_RUNNING_MS = 1000;
const TIMES = [
  { name: "from", label: "From", placeholder: "2026-11-01", required: true },
  { name: "to", label: "To; empty is now", placeholder: "2026-12-01" },
];
const RUNNING = ["waiting", "running"];

export default function Prices({ user }) {
  return html`
    <${OwnPrices} isOwner=${user.role === "owner"} />
    <${Recosts} isOwner=${user.role === "owner"} />
  `;
}

function OwnPrices({ isOwner }) {
  const { data: kept, setData, error, reload } = useResource(PRICES);
  const [editing, setEditing] = useState(null); // the number of a price; that of none is a new one
  const [wanted, setWanted] = useState({}); // of which model a new one is
  const prices = kept?.prices ?? [];
  const add = (of) => {
    setWanted(of);
    setEditing(prices.length);
  };
  const put = async (next) => {
    setData(await send("PUT", PRICES, { prices: next }, kept));
    setEditing(null);
  };
  const heads = html`
    <th>Provider</th><th>Model</th><th>Holds from</th>${OF_TOKENS}
    ${isOwner && html`<th><span class="said">Change</span></th>`}
  `;
  return html`
    <${Toolbar} says=${html`${kept && plural(prices.length, "price")} of your own; other models have list prices.${kept?.changed_at && ` Changed ${time(kept.changed_at)}.`}${noteOf(kept) && html` <b>${noteOf(kept)}</b>`}`}>
      ${isOwner && kept && html`<button type="button" onClick=${() => add({})}>Add a price</button>`}
    <//>
    <${Pending} data=${kept} error=${error} retry=${reload} />
    ${
      prices.length > 0 &&
      html`
        <${Table} label="Own prices" box="card" heads=${heads} note=${html`<p class="quiet">US dollars for a million tokens. What is not given for the cache costs as input.</p>`}>
          ${prices.map((price, number) => html`<${Row} key=${number} price=${price} isOwner=${isOwner} onEdit=${() => setEditing(number)} remove=${() => put(prices.toSpliced(number, 1))} />`)}
        <//>
      `
    }
    <${CalledModels} key=${kept?.changed_at} onAdd=${isOwner && kept && add} />
    ${editing !== null && html`<${PriceDialog} price=${prices[editing]} wanted=${wanted} number=${editing} onClose=${() => setEditing(null)} save=${(price) => put(prices.toSpliced(editing, 1, price))} />`}
  `;
}

/** What was called, at which prices: first what has none. */
function CalledModels({ onAdd }) {
  const { data, error, reload } = useResource("prices/models", { limit: 100 });
  const models = (data?.results ?? []).toSorted((one, other) => other.unpriced - one.unpriced);
  const heads = html`<th>Provider</th><th>Model</th><th class="number">Calls</th>${OF_TOKENS}<th>Price from</th>`;
  return html`
    <section class="apart">
      <h2>Models called in the last 30 days</h2>
      <${Pending} data=${data} error=${error} retry=${reload} />
      ${data && !models.length && html`<p class="quiet">None.</p>`}
      ${
        models.length > 0 &&
        html`
          <${Table} label="Prices of called models" box="card" heads=${heads} note=${html`<p class="quiet">US dollars for a million tokens, now, in the usual tier and in a short prompt.</p>`}>
            ${models.map(
              ({ provider, model, calls, unpriced, prices, ...of }) => html`
                <tr key=${`${provider} ${model}`}>
                  <td>${provider}</td><td>${model}</td><td class="number">${whole(calls)}</td>
                  ${["input", "output", "cache_read", "cache_write"].map((kind) => html`<td class="number" key=${kind}>${of[kind] ?? UNKNOWN}</td>`)}
                  <td>
                    ${prices ?? html`<b>no price</b>${onAdd && html` <button type="button" onClick=${() => onAdd({ provider, model })}>Add one</button>`}`}
                    ${unpriced > 0 && html`<br /><span class="bad">${plural(unpriced, "call")} without a cost</span>`}
                  </td>
                </tr>
              `,
            )}
          <//>
        `
      }
    </section>
  `;
}

function Row({ price, isOwner, onEdit, remove }) {
  const { provider, model, input, output, cache_read: read, cache_write: write, cache_write_1h: hour, valid_from: from } = price;
  return html`
    <tr>
      <td>${provider}</td><td>${model}</td><td title=${from}>${from.replace(/T00:00:00(\.000)?Z$/, "")}</td>
      <td class="number">${input}</td><td class="number">${output}</td><td class="number">${read ?? "as input"}</td><td class="number">${write ?? "as input"}${hour && `, for an hour ${hour}`}</td>
      ${
        isOwner &&
        html`<td class="number">
          <button type="button" aria-label=${`Change the price of ${model} from ${from}`} onClick=${onEdit}>Change</button>
          <${ConfirmButton} text="Remove" name=${`Remove the price of ${model} from ${from}`} title="Remove this price?" act=${remove}>
            <p>Calls of ${model} that end from now on have another price of yours, or the list price. What is recorded keeps its cost.</p>
          <//>
        </td>`
      }
    </tr>
  `;
}

/** One price, new or changed: `price` is undefined for a new one, of `wanted` then; `save` gets what was typed, and `number` is its place in the list. */
function PriceDialog({ price, wanted, number, save, onClose }) {
  const put = async (given) => {
    try {
      await save(given);
    } catch (error) {
      for (const one of error.validations ?? []) one.field = one.field.replace(`prices[${number}].`, "");
      throw error;
    }
  };
  const initial = { valid_from: new Date().toISOString().slice(0, 10), ...wanted, ...price };
  return html`<${NewOne} title=${price ? "Change a price" : "Add a price"} verb="Save" fields=${FIELDS} initial=${initial} add=${put} onClose=${onClose} />`;
}

/** A job that is not over, of those that are listed. */
function isOpen(jobs) {
  return jobs?.results.some(({ state }) => RUNNING.includes(state));
}

function Recosts({ isOwner }) {
  const { data, error, reload } = useResource(PATH, {}, { every: (jobs) => (isOpen(jobs) ? WHILE_RUNNING_MS : 0) });
  const jobs = data?.results ?? [];
  return html`
    <section class="card apart recosts">
      <h2>Past calls</h2>
      <p class="quiet">What is recorded keeps its cost, until you price a range again with today's prices. Old and new cost are kept.</p>
      ${isOwner && html`<${LineForm} fields=${TIMES} verb="Price again" disabled=${isOpen(data)} act=${(given) => send("POST", PATH, given).then(reload)} />`}
      ${error && html`<${Failure} error=${error} retry=${reload} />`}
      <ul class="rows" aria-label="Jobs that price past calls again">
        ${jobs.map((job) => html`<${Job} key=${job.id} job=${job} isOwner=${isOwner} onChanged=${reload} />`)}
      </ul>
    </section>
  `;
}

function Job({ job, isOwner, onChanged }) {
  const { id, from, to, state, total, done, changed, skipped, cost_before_usd: before, cost_after_usd: after, requested_at: at, error: why } = job;
  const { busy, error, run } = useChange();
  const cancel = () => run(() => send("DELETE", `${PATH}/${id}`).then(onChanged));
  const open = RUNNING.includes(state);
  const range = `${from.slice(0, 10)} to ${to.slice(0, 10)}`;
  return html`
    <li class="token">
      <b>${range} <span class="role">${state}</span></b>
      <span class="quiet">
        requested ${time(at)}; ${total !== null ? `${whole(done)} of ${plural(total, "call")}` : state === "waiting" ? "not counted yet" : plural(done, "call")}${open && total > 0 && ` (${percent(done, total)})`}, ${whole(changed)} with another cost${skipped > 0 && `, ${whole(skipped)} left as they are`}; ${usd(Number(before))} before, ${usd(Number(after))} now${why && html`. <span class="bad">${why}</span>`}
      </span>
      ${open && isOwner && html`<button type="button" class="danger" disabled=${busy} aria-label=${`Cancel pricing ${range} again`} onClick=${cancel}>Cancel</button>`}
      ${open && (total !== null || state === "waiting") && html`<${Track} label=${`Progress of ${range}`} value=${done} max=${total || 1} />`}
      ${error && html`<${Failure} error=${error} />`}
    </li>
  `;
}
