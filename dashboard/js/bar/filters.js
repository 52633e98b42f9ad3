/** The bar of a list: a search, typed or chosen, and a range; both are in the address. */

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import { seesEveryone } from "../frame/registry.js";
import { go, href } from "../frame/router.js";
import { Bar, chooser } from "./bar.js";
import { valueOf, withTerm } from "./query.js";
import { chosenRange, searchWithin } from "./range.js";
import { useNames } from "./search.js";

const STATUSES = [
  ["completed", "Completed"],
  ["failed", "Failed"],
  ["in_flight", "In flight"],
];

/** The search of an address, as the API takes it: a range stays relative there. */
export function useSearch(params, usual = "") {
  const { q = "", range, from, to, tz } = params;
  return useMemo(() => searchWithin(q, chosenRange(params, usual)), [q, range, from, to, tz]);
}

/**
 * `statuses` are pairs of value and text. `choices` draws others than those of calls; it gets what puts a value for a key into the
 * search. `usual` is the range without one in the address, all time if it is empty. `keep` are parameters that "Clear" leaves.
 */
export function Filters({ route, user, usual = "", keep = [], statuses = STATUSES, choices, example = "words, model:gpt-5.5 status:failed cost:>1" }) {
  const { params } = route;
  const { q = "" } = params;
  const known = useNames(!choices);
  const choose = chooser(route);
  const put = (key, value) => choose({ q: withTerm(q, key, value) });
  const clear = () => go(href(route.view, "", Object.fromEntries(keep.map((name) => [name, params[name]]))));
  const isNarrowed = Object.keys(params).some((name) => params[name] && !keep.includes(name));
  const isMine = valueOf(q, "user") === "me";
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosenRange(params, usual)} isEver=${!usual} search=${{ example, known: choices ? undefined : known }}>
      ${choices ? choices(put) : html`<${OfCalls} q=${q} statuses=${statuses} known=${known} put=${put} />`}
      ${seesEveryone(user) && html`<button type="button" aria-pressed=${isMine} onClick=${() => put("user", isMine ? "" : "me")}>Mine</button>`}
      ${isNarrowed && html`<button type="button" class="plain" onClick=${clear}>Clear</button>`}
    <//>
  `;
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

/** The current value is among the options, even if it is unknown. */
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
