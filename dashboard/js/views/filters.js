/** A search, written by hand or by choosing; either way it stands in the address. */

import { html } from "htm/preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useResource } from "../resource.js";
import { completions, holdsSecret, isSearchable, isToken, sinceNow, valueOf, withTerm } from "../query.js";
import { RANGES } from "../series.js";
import { seesEveryone } from "../shell.js";
import { useFoundToken } from "./found_token.js";

const STATUSES = [
  ["completed", "Completed"],
  ["failed", "Failed"],
  ["in_flight", "In flight"],
];
const SINCE = [
  ["1h", "Last hour"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
];

/** What to ask the API for an address: `since` stays relative there, and means the moment at which it was opened. */
export function useSearch({ q = "", since = "" }) {
  return useMemo(() => sinceNow(q, Object.hasOwn(RANGES, since) ? RANGES[since] : 0, Date.now() / 1000), [q, since]);
}

/**
 * `q` and `since` are those of the address, and `onSearch` is called with both; `statuses` are pairs of value and text.
 * `choices` draws others than those of calls; it gets what puts a value for a key into the search.
 */
export function Filters({ q, since, user, onSearch, statuses = STATUSES, choices, example = "words, model:gpt-5.5 status:failed cost:>1" }) {
  const [text, setText] = useState(q);
  const [refused, setRefused] = useState(false);
  const found = useFoundToken();
  const known = useNames(!choices);
  useEffect(() => setText(q), [q]);
  const submit = (event) => {
    event.preventDefault();
    const secret = holdsSecret(text);
    const mayLook = user.role === "owner" && isToken(text);
    setRefused(secret && !mayLook);
    found.forget();
    if (secret) setText(q);
    if (mayLook) found.look(text.trim());
    if (!secret) onSearch(...withRange(text.trim(), since));
  };
  const put = (key, value) => onSearch(withTerm(q, key, value), since);
  return html`
    <form class="filters" role="search" onSubmit=${submit}>
      <input
        id="q"
        type="search"
        aria-label="Search"
        placeholder=${`Search: ${example}`}
        spellcheck=${false}
        autocomplete="off"
        autocapitalize="off"
        list=${choices ? undefined : "completions"}
        value=${text}
        onInput=${(event) => setText(event.target.value)}
      />
      ${!choices && html`<datalist id="completions">${completions(text, known).map(({ text: value, label }) => html`<option key=${value} value=${value} label=${label} />`)}</datalist>`}
      <div class="choices">
        ${choices ? choices(put) : html`<${OfCalls} q=${q} statuses=${statuses} known=${known} put=${put} />`}
        <${Since} q=${q} since=${since} onSearch=${onSearch} />
        ${seesEveryone(user) &&
        html`<button type="button" aria-pressed=${valueOf(q, "initiator") === "me"} onClick=${() => put("initiator", valueOf(q, "initiator") === "me" ? "" : "me")}>Mine</button>`}
        ${(q || since) && html`<button type="button" class="plain" onClick=${() => onSearch("", "")}>Clear</button>`}
      </div>
      ${refused &&
      html`<p class="failure" role="alert">
        That looks like a token or a key, so it was not searched for: a secret must not stand in an address. Owners are told whose a
        token of the bridge is; its calls are found by the part before its hyphen, as in <code>token:ID</code>.
      </p>`}
      ${found.shown}
    </form>
  `;
}

/** The search and the range for an address. A range that the search names takes the place of the chosen one. */
function withRange(text, since) {
  const named = valueOf(text, "since");
  if (SINCE.some(([value]) => value === named)) return [withTerm(text, "since", ""), named];
  return [text, named || valueOf(text, "started_after") ? "" : since];
}

/** What was ever recorded, by the key that asks for it. */
function useNames(wanted) {
  const names = { model: "models", provider_name: "providers", client: "clients" };
  const lists = Object.values(names).map((path) => useResource(wanted ? path : null, { limit: 200 }).data ?? []);
  return Object.fromEntries(Object.keys(names).map((key, index) => [key, lists[index].filter(isSearchable)]));
}

function OfCalls({ q, statuses, known, put }) {
  return html`
    ${statuses.length > 0 && html`<${Choice} label="Status" value=${valueOf(q, "status")} options=${statuses} onChoose=${(value) => put("status", value)} />`}
    <${Known} label="Model" name="model" values=${known.model} q=${q} put=${put} />
    <${Known} label="Provider" name="provider_name" values=${known.provider_name} q=${q} put=${put} />
    <${Known} label="Client" name="client" values=${known.client} q=${q} put=${put} />
  `;
}

/** A choice among what was ever recorded. */
function Known({ label, name, values, q, put }) {
  const options = values.map((value) => [value, value]);
  return html`<${Choice} label=${label} value=${valueOf(q, name)} options=${options} onChoose=${(value) => put(name, value)} />`;
}

function Since({ q, since, onSearch }) {
  const ago = valueOf(q, "since");
  const at = ago || valueOf(q, "started_after");
  const from = () => new Date(at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" });
  const known = at ? [[at, ago ? `Last ${ago}` : `Since ${from()}`]] : [];
  const choose = (value) => value !== at && onSearch(withTerm(withTerm(q, "started_after", ""), "since", ""), value);
  return html`<${Choice} label="Time" value=${at || since} options=${[...known, ...SINCE]} onChoose=${choose} />`;
}

/** The current value is among the options even if nobody knows it. */
export function Choice({ label, value, options, onChoose }) {
  const missing = value && !options.some(([option]) => option === value);
  return html`
    <select aria-label=${label} class=${value ? "chosen" : undefined} value=${value} onChange=${(event) => onChoose(event.target.value)}>
      <option value="">${label}</option>
      ${missing && html`<option value=${value}>${value}</option>`}
      ${options.map(([option, text]) => html`<option key=${option} value=${option}>${text}</option>`)}
    </select>
  `;
}
