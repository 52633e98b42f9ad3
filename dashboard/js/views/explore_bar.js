/** What to add up, and over which time: all of it stands in the address. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { SavedViews } from "../bar/saved_views.js";
import { DIMENSIONS, dimensionName } from "../groups.js";
import { holdsSecret, terms } from "../query.js";
import { PRESETS } from "../ranges.js";
import { seesEveryone } from "../shell.js";

const FOR_ALL = ["user", "group"];
const zones = () => (Intl.supportedValuesOf ? Intl.supportedValuesOf("timeZone") : []);

/** `choose` puts changes into the address; `csv` is the address of the table as CSV. */
export function ExploreBar({ asked, user, choose, csv }) {
  const { by, tz, preset, custom, compare, q } = asked;
  const names = Object.keys(DIMENSIONS).filter((name) => seesEveryone(user) || !FOR_ALL.includes(name));
  const put = (index, name) => {
    const next = [by[0] ?? "", by[1] ?? ""];
    next[index] = name;
    choose({ by: next.filter((one, at) => one && next.indexOf(one) === at).join(",") || "nothing" });
  };
  return html`
    <div class="explore-bar">
      <div class="choices">
        <select aria-label="Time range" value=${custom ? "custom" : preset} onChange=${(event) => choose({ range: event.target.value, from: "", to: "" })}>
          ${custom && html`<option value="custom">Chosen in the chart</option>`}
          ${Object.entries(PRESETS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
        </select>
        <${Dimension} label="Group by" names=${names} value=${by[0] ?? ""} onPick=${(name) => put(0, name)} />
        <${Dimension} label="and by" names=${names} value=${by[1] ?? ""} onPick=${(name) => put(1, name)} />
        <select aria-label="Time zone" value=${tz} onChange=${(event) => choose({ tz: event.target.value })}>
          ${[...new Set([tz, "UTC", ...zones()])].map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
        <button type="button" aria-pressed=${compare} onClick=${() => choose({ compare: compare ? "no" : "" })}>Compare</button>
        <a class="button" href=${csv} download="explore.csv">CSV</a>
        <${SavedViews} user=${user} />
      </div>
      <${Terms} q=${q} choose=${choose} />
    </div>
  `;
}

function Dimension({ label, names, value, onPick }) {
  const known = !value || names.includes(value) ? names : [value, ...names];
  return html`<select aria-label=${label} value=${value} onChange=${(event) => onPick(event.target.value)}>
    <option value="">${label === "and by" ? "and nothing" : "Nothing"}</option>
    ${known.map((name) => html`<option key=${name} value=${name}>${dimensionName(name)}</option>`)}
  </select>`;
}

/** The filters as chips, and a line to add one. */
function Terms({ q, choose }) {
  const [text, setText] = useState("");
  const [refused, setRefused] = useState(false);
  useEffect(() => setText(""), [q]);
  const all = terms(q);
  const submit = (event) => {
    event.preventDefault();
    const added = text.trim();
    setRefused(holdsSecret(added));
    if (added && !holdsSecret(added)) choose({ q: [q, added].filter(Boolean).join(" ") });
    else setText("");
  };
  const without = (index) => all.filter((_, at) => at !== index).map((term) => term.text).join(" ");
  return html`<form class="chips" role="search" onSubmit=${submit}>
    ${all.map(
      (term, index) =>
        html`<span class="chip" key=${`${index}${term.text}`}>${term.text}<button type="button" class="plain" aria-label=${`Without ${term.text}`} onClick=${() => choose({ q: without(index) })}>×</button></span>`,
    )}
    <input type="search" aria-label="Add a filter" placeholder="Filter: model:gpt-5 tag:project=apollo -status:failed" spellcheck=${false} autocomplete="off" autocapitalize="off" value=${text} onInput=${(event) => setText(event.target.value)} />
    ${refused && html`<span class="note" role="alert">That looks like a token or a key. It was not used, and does not belong into an address.</span>`}
  </form>`;
}
