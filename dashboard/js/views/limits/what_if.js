/** What other limits would have refused of the calls of a range. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { rangeText, timesOf } from "../../bar/range.js";
import { href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { LineForm } from "../../parts/forms.js";
import { address, requestWithProgress } from "../../server/api.js";
import { duration, plural, time, UNKNOWN, whole } from "../../text/format.js";
import { numberOr } from "./policy_form.js";

const PARTS = { each_member: "of each user", together: "of all together" };
const NUMBER = { inputmode: "decimal", placeholder: "no limit", read: numberOr };
/** Patterns with spaces or commas between them. */
const MODELS = { autocapitalize: "off", read: (text) => text.split(/[\s,]+/).filter(Boolean) };
const FIELDS = [
  { name: "concurrency", label: "Requests at a time", ...NUMBER },
  { name: "rate", label: "Requests a minute", ...NUMBER },
  { name: "tokens", label: "Tokens a minute", ...NUMBER },
  { name: "budget", label: "Dollars a day", ...NUMBER },
  { name: "allow", label: "Only these models", placeholder: "claude-*, gpt-5*", ...MODELS },
  { name: "deny", label: "Not these models", ...MODELS },
  { name: "q", label: "Of calls that match", placeholder: "tag:project=apollo", autocapitalize: "off" },
];

/** What is asked with what was given. */
function proposalOf({ concurrency, rate, tokens, budget, allow, deny, q }) {
  const each = {
    ...(concurrency && { concurrency }),
    ...(rate && { rate: { requests: rate, window: "1m" } }),
    ...(tokens && { tokens: { count: tokens, window: "1m" } }),
    ...(budget && { budget: { usd: budget, period: "day" } }),
  };
  const limits = Object.keys(each).length ? { limits: { each_member: each } } : {};
  return { ...limits, ...((allow || deny) && { models: { allow, deny } }), q };
}

/** Of calls between two times of the API, told in the zone `tz`. */
export function WhatIf({ from, to, tz }) {
  const [{ result, share }, setState] = useState({});
  const ask = async (given) => {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ from, to, ...proposalOf(given) }) };
    setState({});
    setState({ result: await requestWithProgress(address("limits/what-if"), options, (share) => setState({ share })) });
  };
  return html`
    <section class="card apart what-if">
      <h2>What if</h2>
      <p class="quiet">Which calls of ${rangeText(timesOf({ from, to }), tz)} other limits of each user, or other models, would have refused. Nothing is changed.</p>
      <${LineForm} fields=${FIELDS} verb="Work it out" keeps act=${ask} />
      ${share !== undefined && html`<p><progress value=${share} aria-label="Calls looked at"></progress></p>`}
      ${result && html`<${Result} result=${result} />`}
    </section>
  `;
}

/** A limit or a rule, in words. */
function nameOf({ part, kind }) {
  return part ? `${FIELDS.find(({ name }) => name === kind).label.toLowerCase()} ${PARTS[part]}` : "model not allowed";
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
      <ol class="long">
        ${first.map(
          ({ id, started_at: started, user, limit, model, wait_seconds: wait }) => html`
            <li key=${id}><a href=${href("interceptions", id)}>${time(started)}, ${user.username}</a> <span class="quiet">${nameOf(limit)}${model && `: ${model}`}${wait !== null && `, free again after ${duration(wait * 1000)}`}</span></li>
          `,
        )}
      </ol>
    </details>
  `;
}
