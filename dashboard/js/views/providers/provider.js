/** One provider: its settings, its keys, its health, and changes. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { searchFor } from "../../bar/query.js";
import { rangeText, timesOf } from "../../bar/range.js";
import { href } from "../../frame/router.js";
import { Facts } from "../../parts/figures.js";
import { ChangeForm, Removal } from "../../parts/forms.js";
import { Pane } from "../../parts/list.js";
import { Failure, Pending } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { itemsOf, linesOf, percent, plural, time, usd, whole, words } from "../../text/format.js";
import { SpeedTable } from "../explore/speed.js";
import { limitedShare, speed, waits } from "./performance.js";

const EVERY_MS = 15_000;
const FIELDS = [
  { name: "base_url", label: "Base URL", hint: "On another server the keys have to be given again.", inputmode: "url" },
  { name: "keys", label: "New keys", hint: "One a line, at most 5. They replace those that are there; empty keeps them.", rows: 2, read: linesOf },
  {
    name: "fallback",
    label: "If it cannot answer, ask",
    hint: "Names of other providers of the same dialect, separated by commas.",
    autocapitalize: "off",
    read: (text) => itemsOf(text, ","),
  },
  { name: "weight", label: "Weight", hint: "Its share of the load among itself and those, 0 to 1000; 0 takes none.", inputmode: "numeric", read: Number },
];
const RESULTS = { up: "answered", down: "failed", unknown: "" };

/**
 * `span` is the time range as the API takes it, `range` what says it in an address, `tz` whose days it has, `model` which one is
 * opened, `keys` the state of the keys in a word or two.
 */
export function ProviderPane({ listed, me, keys, span, range, model, tz, onClose, onChanged, onRemoved }) {
  const { name } = listed;
  const path = `providers/${encodeURIComponent(name)}`;
  const { data, error, reload } = useResource(path, {}, { every: EVERY_MS });
  const usage = useResource(`${path}/usage`, span, { every: EVERY_MS });
  const narrowed = { provider_name: name, ...(model && { model }) };
  const spread = useResource("stats", { ...span, bucket: "all", q: searchFor(narrowed) }, { every: EVERY_MS });
  const changed = () => {
    reload();
    onChanged();
  };
  const remove = () => send("DELETE", path).then(onRemoved);
  const isOwner = me.role === "owner";
  const isManaged = data?.source === "database";
  return html`
    <${Pane} label="Provider" title=${name} mark=${html`<span class="role">${data?.state ?? listed.state}</span>`} onClose=${onClose}>
      <${Pending} data=${data} error=${error} retry=${reload} />
      ${usage.error && html`<${Failure} error=${usage.error} retry=${usage.reload} />`}
      ${data && html`<${Setup} provider=${data} up=${usage.data?.up} />`}
      ${usage.data && html`<section><h3>In this time</h3><${Total} usage=${usage.data} range=${range} tz=${tz} /></section>`}
      ${
        spread.data?.total.interceptions > 0 &&
        html`
          <section>
            <h3>How fast</h3>
            <${SpeedTable} total=${spread.data.total} histograms=${spread.data.histograms} />
            <p class="quiet"><a href=${href("explore", "", { q: searchFor(narrowed), by: model ? "user" : "model", ...range })}>${model ? `Calls of ${model} by user` : "Calls by model"}</a></p>
          </section>
        `
      }
      ${usage.data?.models.length > 0 && html`<section><h3>Models</h3>${usage.data.models.map((one) => html`<${Model} key=${one.model} provider=${name} model=${one} keys=${keys} range=${range} open=${one.model === model} />`)}</section>`}
      ${data && html`<section><h3>Keys</h3><${Keys} provider=${data} /></section>`}
      ${data && isOwner && html`<section><h3>Check</h3><${Check} path=${path} /></section>`}
      ${data && isOwner && isManaged && html`<section><h3>Change</h3><${Change} key=${data.changed_at} provider=${data} path=${path} onChanged=${changed} /></section>`}
      ${data && isOwner && !isManaged && html`<p class="quiet">It is one of the server's environment, and is changed there.</p>`}
      ${
        data &&
        isOwner &&
        isManaged &&
        html`
          <${Removal} what="this provider" title=${`Remove ${name}?`} remove=${remove}>
            <p>New calls get 404, and its keys are gone. Calls under way go on, and records stay. This cannot be undone.</p>
          <//>
        `
      }
    <//>
  `;
}

function Setup({ up, provider: { name, type, base_url: url, credential, region, project, fallback, weight, circuit, changed_at: changed } }) {
  const facts = [
    ["Its latest request", up && RESULTS[up]],
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
  return html`
    <${Facts} facts=${facts} />
    <p class="quiet"><a href=${href("interceptions", "", { q: searchFor({ provider_name: name }) })}>Calls</a></p>
  `;
}

/** What all calls of the range add up to. */
function Total({ usage, range, tz }) {
  const { name, from, to, since, total } = usage;
  const calls = (terms) => href("interceptions", "", { q: searchFor({ provider_name: name, ...terms }), ...range });
  const facts = [
    ["Calls", html`<a href=${calls({})}>${whole(total.interceptions)}</a>`],
    ["Failed", total.failed > 0 && html`<a href=${calls({ status: "failed" })}>${whole(total.failed)} (${percent(total.failed, total.interceptions)})</a>`],
    ["Tokens", total.tokens > 0 && whole(total.tokens)],
    ["Cost", total.cost_usd !== null && usd(total.cost_usd)],
    ["Whole call", total.duration_ms && waits(total.duration_ms)],
    ["First byte", total.first_byte_ms && waits(total.first_byte_ms)],
  ];
  return html`
    <p class="quiet">${rangeText(timesOf(usage), tz)}${since > from && `; requests are those of the latest calls, since ${time(since)}`}</p>
    <${Facts} facts=${facts} />
  `;
}

/** A model: whether it works, and opened how it fares. */
function Model({ provider, model: one, keys, range, open }) {
  const shown = useRef(null);
  useEffect(() => {
    if (open) shown.current.scrollIntoView({ block: "nearest" });
  }, [open]);
  const { model, up, requests, failed, circuit, total, answered_at: answered, failed_at: failedAt } = one;
  const wait = total.first_byte_ms;
  const facts = [
    ["Calls", whole(total.interceptions)],
    ["Requests", requests],
    ["Failed requests", failed && `${failed}, last ${time(failedAt)}`],
    ["Answered last", answered && time(answered)],
    ["Answered with 429", limitedShare(one) || "none"],
    ["Whole call", total.duration_ms && waits(total.duration_ms)],
    ["First byte", wait && waits(wait)],
    ["Of that the bridge", total.bridge_ms && waits(total.bridge_ms)],
    ["Speed", total.tokens_per_second && speed(total.tokens_per_second)],
    ["Cost", total.cost_usd !== null && usd(total.cost_usd)],
    ["Circuit", circuit && words(circuit)],
    ["Keys", keys],
  ];
  return html`
    <details ref=${shown} class="model" open=${open}>
      <summary><span class="role">${up}</span> ${model} <span class="quiet">${wait ? waits(wait) : ""}</span></summary>
      <${Facts} facts=${facts} />
      <p class="quiet"><a href=${href("interceptions", "", { q: searchFor({ provider_name: provider, model }), ...range })}>Calls of ${model}</a></p>
    </details>
  `;
}

function Keys({ provider: { keys, key_state: state } }) {
  if (!keys.length) {
    const why = { key: "Requests are signed with credentials of the server.", keyless: "It is called without a key.", no_key: "Only users with a key of their own are served." };
    return html`<p class="quiet">${why[state]}</p>`;
  }
  return html`
    <ol class="key-list">
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
