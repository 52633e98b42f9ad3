/** Providers: a list with the health of each, and the chosen one beside it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Bar } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { go, href } from "../../frame/router.js";
import { Facts, Table } from "../../parts/figures.js";
import { Addition, ChangeForm, Removal } from "../../parts/forms.js";
import { List, Pane, Toolbar } from "../../parts/list.js";
import { Failure, Pending } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { itemsOf, percent, plural, short, time, usd, waits, whole, words } from "../../text/format.js";
import { providerTypes } from "../../text/vocabulary.js";

const EVERY_MS = 15_000;
const USUAL = "24h";
const MAX_PROVIDERS = 1000;
const HEADS = html`<span>Provider</span><span>State</span><span>Keys</span><span class="number">Calls</span><span class="number">Failed</span><span class="number">First byte</span><span class="number">Cost</span>`;
const FIELDS = [
  { name: "base_url", label: "Base URL", hint: "On another server the keys have to be given again.", inputmode: "url" },
  { name: "keys", label: "New keys", hint: "One a line, at most 5. They replace those that are there; empty keeps them.", rows: 2, read: (text) => itemsOf(text, "\n") },
  { name: "fallback", label: "If it cannot answer, ask", hint: "Names of other providers of the same dialect, separated by commas.", autocapitalize: "off", read: (text) => itemsOf(text, ",") },
  { name: "weight", label: "Weight", hint: "Its share of the load among itself and those, 0 to 1000; 0 takes none.", inputmode: "numeric", read: Number },
];
const MAX_MODELS = 50;

export default function Providers({ route: { id, params }, route, user: me }) {
  const listed = useResource("providers/configured", {}, { every: EVERY_MS });
  const range = chosenRange(params, USUAL);
  const span = asked(range);
  const stats = useResource("stats", { ...span, group_by: "provider", bucket: "all", limit: MAX_PROVIDERS }, { every: EVERY_MS });
  const kept = { ...rangeParams(params), tz: params.tz };
  const { model } = params;
  // Of a model alone the page of the provider opens that has most of its calls.
  const serving = useResource(model && !id ? "stats" : null, { ...span, group_by: "provider", bucket: "all", q: searchFor({ model }), limit: 1 });
  const chosen = id || (model && serving.data?.groups[0]?.group.provider) || "";
  const rows = listed.data ?? [];
  const show = (name = "") => {
    listed.reload();
    go(href("providers", name, kept));
  };
  const totals = Object.fromEntries((stats.data?.groups ?? []).map(({ group, total }) => [group.provider, total]));
  const pane = (close) => html`<${ProviderPane} key=${chosen} name=${chosen} me=${me} span=${span} range=${rangeParams(params, USUAL)} model=${model} onClose=${close} onChanged=${listed.reload} onRemoved=${() => show()} />`;
  return html`
    <${Bar} route=${route} user=${me} chosen=${range} id=${chosen} />
    <${Toolbar} says=${[listed.data && plural(rows.length, "provider"), stats.data && `calls of ${rangeText(timesOf(stats.data), range.tz)}, ${range.tz}`].filter(Boolean).join("; ")}>
      ${me.role === "owner" && html`<${Addition} what="a provider" path="providers" fields=${fieldsOfNew()} initial=${{ type: "openai" }} onAdded=${({ name }) => show(name)} />`}
    <//>
    <${Pending} data=${listed.data} error=${listed.error} retry=${listed.reload} />
    <${List} view="providers" label="Providers" kind="provider" heads=${HEADS} rows=${rows} rowOf=${(one) => rowOf(one, totals[one.name])} chosen=${chosen} kept=${kept} pane=${pane} />
  `;
}

function rowOf(provider, total) {
  const { name, type, state, source } = provider;
  return {
    id: name,
    cells: html`
      <span class="title">${name} <span class="quiet">${[type !== name && type, source === "environment" && "environment"].filter(Boolean).join(", ")}</span></span>
      <span><span class="role">${state}</span></span>
      <span class="quiet">${keysOf(provider)}</span>
      <span class="number">${whole(total?.interceptions ?? 0)}<span class="said"> calls</span></span>
      <span class="number">${total?.failed > 0 && html`${percent(total.failed, total.interceptions)}<span class="said"> failed</span>`}</span>
      <span class="number">${total?.first_byte_ms && html`<span class="said">first byte </span>${waits(total.first_byte_ms)}`}</span>
      <span class="number">${total && usd(total.cost_usd)}</span>
    `,
  };
}

/** The state of the credential in a word or two. */
function keysOf({ key_state: state, keys }) {
  if (keys.length) {
    const refused = keys.filter((key) => key.refused).length;
    return plural(keys.length, "key") + (refused ? `, ${refused} refused` : "");
  }
  return { key: "signed", keyless: "needs no key", no_key: "users' keys" }[state];
}

function fieldsOfNew() {
  return [
    { name: "name", label: "Name", hint: "In the address of its calls: lower-case letters, digits and single hyphens.", required: true, autocapitalize: "off" },
    { name: "type", label: "Type", options: providerTypes() },
    { name: "base_url", label: "Base URL", hint: "If empty, the address of the type's vendor.", inputmode: "url" },
    { name: "region", label: "Region", when: ({ type }) => /^(vertex|bedrock|claude-aws)/.test(type) },
    { name: "project", label: "Project", when: ({ type }) => type === "vertex" },
    { name: "keys", label: "Keys", hint: "One a line, at most 5; the first is tried first. They are never shown again.", rows: 2, read: (text) => itemsOf(text, "\n") },
  ];
}

/** `span` is the time range as the API takes it, `range` what says it in an address, `model` which one is marked. */
function ProviderPane({ name, me, span, range, model, onClose, onChanged, onRemoved }) {
  const path = `providers/${encodeURIComponent(name)}`;
  const { data, error, reload } = useResource(path, {}, { every: EVERY_MS });
  const usage = useResource("stats", { ...span, bucket: "all", q: searchFor({ provider_name: name }), group_by: "model", limit: MAX_MODELS }, { every: EVERY_MS });
  const changed = () => {
    reload();
    onChanged();
  };
  const remove = () => send("DELETE", path).then(onRemoved);
  const isOwner = me.role === "owner";
  const isManaged = data?.source === "database";
  return html`
    <${Pane} label="Provider" title=${name} mark=${data && html`<span class="role">${data.state}</span>`} onClose=${onClose}>
      <${Pending} data=${data} error=${error} retry=${reload} />
      ${usage.error && html`<${Failure} error=${usage.error} retry=${usage.reload} />`}
      ${data && html`<${Setup} provider=${data} />`}
      ${usage.data && html`<section><h3>In this time</h3><${Models} name=${name} usage=${usage.data} range=${range} marked=${model} /></section>`}
      ${data && html`<section><h3>Keys</h3><${Keys} provider=${data} /></section>`}
      ${data && isOwner && html`<section><h3>Check</h3><${Check} path=${path} /></section>`}
      ${data && isOwner && !isManaged && html`<p class="quiet">It is one of the server's environment, and is changed there.</p>`}
      ${
        isManaged &&
        isOwner &&
        html`
          <section><h3>Change</h3><${Change} key=${data.changed_at} provider=${data} path=${path} onChanged=${changed} /></section>
          <${Removal} what="this provider" title=${`Remove ${name}?`} remove=${remove}>
            <p>New calls get 404, and its keys are gone. Calls under way go on, and records stay. This cannot be undone.</p>
          <//>
        `
      }
    <//>
  `;
}

function Setup({ provider: { type, base_url: url, credential, region, project, fallback, weight, circuit, changed_at: changed } }) {
  const facts = [
    ["Type", type],
    ["Base URL", url],
    ["Key is sent as", credential],
    ["Region", region],
    ["Project", project],
    ["If it cannot answer", fallback.join(", ")],
    ["Weight", weight],
    ["Circuit", circuit && words(circuit)],
    ["Changed", changed && time(changed)],
  ];
  return html`<${Facts} facts=${facts} />`;
}

const FIGURES = ["Calls", "Failed", "Whole call", "First byte", "Of that the bridge", "Tokens a second", "Cost"];

/** What the calls of the range add up to, of each model and in all. */
function Models({ name, usage: { groups, total }, range, marked }) {
  if (!total.interceptions) return html`<p class="quiet">No calls.</p>`;
  const calls = (terms) => href("interceptions", "", { q: searchFor({ provider_name: name, ...terms }), ...range });
  return html`
    <${Table} label="Models" kind="groups" heads=${html`<th>Model</th>${FIGURES.map((head) => html`<th class="number" key=${head}>${head}</th>`)}`} foot=${html`<th scope="row">All</th><${Fared} total=${total} calls=${calls} />`}>
      ${groups.map(({ group: { model }, total: fared }) => html`<tr key=${model} aria-current=${model === marked ? "true" : undefined}><td>${model}</td><${Fared} total=${fared} calls=${(terms) => calls({ model, ...terms })} /></tr>`)}
    <//>
    <p class="quiet"><a href=${href("explore", "", { q: searchFor({ provider_name: name, model: marked }), by: "model", ...range })}>How fast, and who called</a></p>
  `;
}

function Fared({ total, calls }) {
  const { interceptions, failed, cost_usd: cost } = total;
  return html`
    <td class="number"><a href=${calls({})}>${whole(interceptions)}</a></td>
    <td class="number">${failed > 0 && html`<a href=${calls({ status: "failed" })}>${percent(failed, interceptions)}</a>`}</td>
    ${["duration_ms", "first_byte_ms", "bridge_ms"].map((part) => html`<td class="number" key=${part}>${total[part] && waits(total[part])}</td>`)}
    <td class="number">${short(total.tokens_per_second?.p50)}</td>
    <td class="number">${usd(cost)}</td>
  `;
}

function Keys({ provider: { keys, key_state: state } }) {
  if (!keys.length) {
    const why = { key: "Requests are signed with credentials of the server.", keyless: "It is called without a key.", no_key: "Only users with a key of their own are served." };
    return html`<p class="quiet">${why[state]}</p>`;
  }
  return html`
    <ol class="key-list stack">
      ${keys.map(
        ({ id, hint, state: condition, refused, setting, added_at: added }) => html`
          <li key=${id ?? hint}>
            <code>${hint.replace("...", "…")}</code> <span class="role">${words(condition)}</span>
            ${" "}<span class="quiet">${added ? `since ${time(added)}` : setting}${refused ? `; ${refused.status} to ${plural(refused.calls, "call")}` : ""}</span>
          </li>
        `,
      )}
    </ol>
  `;
}

function Check({ path }) {
  const [results, setResults] = useState(null);
  const { busy, error, run } = useChange();
  const check = () => run(async () => setResults((await send("POST", `${path}/check`)).results));
  return html`
    <div class="check" role="status">
      ${results?.map(
        ({ hint, ok, message }, number) => html`<p key=${number} class=${ok ? "" : "bad"}>${hint && html`<code>${hint.replace("...", "…")}</code>: `}${message}</p>`,
      )}
    </div>
    ${error && html`<${Failure} error=${error} />`}
    <button type="button" disabled=${busy} onClick=${check}>${busy ? "Checking …" : "Check now"}</button>
  `;
}

function Change({ provider: { base_url: url, fallback, weight, disabled }, path, onChanged }) {
  const { busy, error, run } = useChange();
  const patch = (change) => send("PATCH", path, change).then(onChanged);
  const initial = { base_url: url, fallback: fallback.join(", "), weight: String(weight) };
  return html`
    <${ChangeForm} fields=${FIELDS} initial=${initial} save=${patch}>
      <button type="button" disabled=${busy} onClick=${() => run(() => patch({ disabled: !disabled }))}>${disabled ? "Enable" : "Disable"}</button>
    <//>
    ${error && html`<${Failure} error=${error} />`}
  `;
}
