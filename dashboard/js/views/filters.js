/** A search, written by hand or by choosing; either way it stands in the address. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { useResource } from "../resource.js";
import { isSearchable, valueOf, withTerm } from "../query.js";
import { iso } from "../series.js";
import { seesEverything } from "../shell.js";

const STATUSES = [
  ["completed", "Completed"],
  ["failed", "Failed"],
  ["in_flight", "In flight"],
];
const SINCE = [
  [3600, "Last hour"],
  [86_400, "Last 24 hours"],
  [7 * 86_400, "Last 7 days"],
  [30 * 86_400, "Last 30 days"],
];

/** `statuses` is false where there is no such search. */
export function Filters({ q, user, onSearch, statuses = true }) {
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  const submit = (event) => {
    event.preventDefault();
    onSearch(text.trim());
  };
  const put = (key, value) => onSearch(withTerm(q, key, value));
  return html`
    <form class="filters" role="search" onSubmit=${submit}>
      <input
        id="q"
        type="search"
        aria-label="Search"
        placeholder=${'Search: model:gpt-5.5 status:failed client:"Claude Code"'}
        spellcheck=${false}
        autocomplete="off"
        autocapitalize="off"
        value=${text}
        onInput=${(event) => setText(event.target.value)}
      />
      <div class="choices">
        ${statuses && html`<${Choice} label="Status" value=${valueOf(q, "status")} options=${STATUSES} onChoose=${(value) => put("status", value)} />`}
        <${Known} label="Model" path="models" name="model" q=${q} put=${put} />
        <${Known} label="Provider" path="providers" name="provider_name" q=${q} put=${put} />
        <${Known} label="Client" path="clients" name="client" q=${q} put=${put} />
        <${Since} q=${q} put=${put} />
        ${seesEverything(user) &&
        html`<button type="button" aria-pressed=${valueOf(q, "initiator") === "me"} onClick=${() => put("initiator", valueOf(q, "initiator") === "me" ? "" : "me")}>Mine</button>`}
        ${q && html`<button type="button" class="plain" onClick=${() => onSearch("")}>Clear</button>`}
      </div>
    </form>
  `;
}

/** A choice among what was ever recorded. */
function Known({ label, path, name, q, put }) {
  const { data } = useResource(path, { limit: 200 });
  const options = (data ?? []).filter(isSearchable).map((value) => [value, value]);
  return html`<${Choice} label=${label} value=${valueOf(q, name)} options=${options} onChoose=${(value) => put(name, value)} />`;
}

function Since({ q, put }) {
  const since = valueOf(q, "started_after");
  const known = since ? [[since, `Since ${new Date(since).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" })}`]] : [];
  const options = [...known, ...SINCE];
  const choose = (value) => put("started_after", Number(value) ? iso(Math.floor(Date.now() / 1000) - Number(value)) : value);
  return html`<${Choice} label="Time" value=${since} options=${options} onChoose=${choose} />`;
}

/** The current value is among the options even if nobody knows it. */
function Choice({ label, value, options, onChoose }) {
  const missing = value && !options.some(([option]) => option === value);
  return html`
    <select aria-label=${label} class=${value ? "chosen" : undefined} value=${value} onChange=${(event) => onChoose(event.target.value)}>
      <option value="">${label}</option>
      ${missing && html`<option value=${value}>${value}</option>`}
      ${options.map(([option, text]) => html`<option key=${option} value=${option}>${text}</option>`)}
    </select>
  `;
}
