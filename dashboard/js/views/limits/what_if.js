/** What other limits would have refused of the calls of a range. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { rangeText, timesOf } from "../../bar/range.js";
import { href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { Field } from "../../parts/forms.js";
import { Failure } from "../../parts/states.js";
import { address, requestWithProgress } from "../../server/api.js";
import { duration, plural, time, UNKNOWN, whole } from "../../text/format.js";

const SETTLED_MS = 400;
const PARTS = { each_member: "of each user", together: "of all together" };
const KINDS = { concurrency: "requests at a time", rate: "requests a minute", tokens: "tokens a minute", budget: "dollars a day" };
/** Where a slider leads: each step about a third more. 0 is off. */
const STEPS = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000];
const SLIDERS = [
  { id: "concurrency", label: "Requests at a time, each user", unit: 1 },
  { id: "rate", label: "Requests a minute, each user", unit: 1 },
  { id: "tokens", label: "Tokens a minute, each user", unit: 1000 },
  { id: "budget", label: "Dollars a day, each user", unit: 1 },
];

/** Of calls between two times of the API, told in the zone `tz`. */
export function WhatIf({ from, to, tz }) {
  const [chosen, setChosen] = useState({});
  const [{ allowed, denied, q }, setTyped] = useState({ allowed: "", denied: "", q: "" });
  const [{ result, share, error }, setState] = useState({});
  const limits = proposed(chosen);
  const models = modelsOf(allowed, denied);
  const body = { from, to, ...(q && { q }), ...(Object.keys(limits).length && { limits: { each_member: limits } }), ...(models && { models }) };
  const key = body.limits || models ? JSON.stringify(body) : "";
  const typed = (change) => setTyped((before) => ({ ...before, ...change }));
  useEffect(() => {
    setState({});
    if (!key) return undefined;
    const aborter = new AbortController();
    const timer = setTimeout(() => {
      const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: key, signal: aborter.signal };
      requestWithProgress(address("limits/what-if"), options, ({ share: at }) => setState({ share: at })).then(
        (found) => setState({ result: found }),
        (failure) => failure.name !== "AbortError" && setState({ error: failure }),
      );
    }, SETTLED_MS);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [key]);
  return html`
    <section class="card apart what-if">
      <h2>What if</h2>
      <p class="quiet">Which calls of ${rangeText(timesOf({ from, to }), tz)} other limits would have refused. Nothing is changed.</p>
      <div class="sliders">
        ${SLIDERS.map(({ id, label, unit }) => {
          const step = chosen[id] ?? 0;
          const value = STEPS[step] * unit;
          return html`
            <label class="stack" key=${id}>
              <span>${label}: <b>${value ? whole(value) : "off"}</b></span>
              <input type="range" min="0" max=${STEPS.length - 1} value=${step} aria-valuetext=${value ? whole(value) : "off"} onInput=${(event) => setChosen({ ...chosen, [id]: Number(event.target.value) })} />
            </label>
          `;
        })}
      </div>
      <div class="sliders">
        <${Typed} label="Only these models" hint="Such as claude-*, with commas between; others would be refused." onDone=${(text) => typed({ allowed: text })} />
        <${Typed} label="Not these models" onDone=${(text) => typed({ denied: text })} />
        <${Typed} label="Of calls that match" hint="A search, such as tag:project=apollo; words too." onDone=${(text) => typed({ q: text.trim() })} />
      </div>
      ${share !== undefined && html`<p><progress value=${share} aria-label="Calls looked at"></progress></p>`}
      ${error && html`<${Failure} error=${error} />`}
      ${result && html`<${Result} result=${result} />`}
    </section>
  `;
}

function proposed(chosen) {
  const value = ({ id, unit }) => STEPS[chosen[id] ?? 0] * unit;
  const [concurrency, rate, tokens, budget] = SLIDERS.map(value);
  return {
    ...(concurrency && { concurrency }),
    ...(rate && { rate: { requests: rate, window: "1m" } }),
    ...(tokens && { tokens: { count: tokens, window: "1m" } }),
    ...(budget && { budget: { usd: budget, period: "day" } }),
  };
}

/** The `models` of a proposal, patterns with spaces or commas between them; undefined where nothing is typed. */
function modelsOf(allowed, denied) {
  const [allow, deny] = [allowed, denied].map((text) => text.split(/[\s,]+/).filter(Boolean));
  const models = { ...(allow.length && { allow }), ...(deny.length && { deny }) };
  return Object.keys(models).length ? models : undefined;
}

/** A text that counts once it is done, with Enter or by going on: a half of it would be another search. */
function Typed({ onDone, ...field }) {
  const [text, setText] = useState("");
  return html`<${Field} ...${field} value=${text} onText=${setText} onChange=${({ target }) => onDone(target.value)} autocapitalize="off" />`;
}

/** A limit or a rule, in words. */
function nameOf({ part, kind }) {
  return part ? `${KINDS[kind]} ${PARTS[part]}` : "model not allowed";
}

function Result({ result: { calls, refused, by, first_refused: first } }) {
  if (!refused) return html`<p role="status">Of ${plural(calls, "call")} none would have been refused.</p>`;
  return html`
    <p role="status">Of ${plural(calls, "call")} <b>${whole(refused)}</b> would have been refused.</p>
    <${Table} label="Who would have been refused" heads=${html`<th>User</th><th>Limit</th><th>Calls</th><th>Refused</th><th>Longest wait</th>`}>
      ${by.slice(0, 20).map(
        ({ user, limit, calls: all, refused: number, longest_wait_seconds: wait }) => html`
          <tr key=${user.id + limit.part + limit.kind}>
            <td>${user.username}</td><td>${nameOf(limit)}</td><td>${whole(all)}</td><td>${whole(number)}</td>
            <td>${wait === null ? UNKNOWN : duration(wait * 1000)}</td>
          </tr>
        `,
      )}
    <//>
    <details>
      <summary>${`When: ${refused > first.length ? `the first ${whole(first.length)}` : plural(refused, "call")}`}</summary>
      <ol class="when">
        ${first.map(
          ({ id, started_at: started, user, limit, model, wait_seconds: wait }) => html`
            <li key=${id}><a href=${href("interceptions", id)}>${time(started)}, ${user.username}</a> <span class="quiet">${nameOf(limit)}${model && `: ${model}`}${wait !== null && `, free again after ${duration(wait * 1000)}`}</span></li>
          `,
        )}
      </ol>
    </details>
  `;
}
