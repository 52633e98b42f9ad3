/** Jobs that price past calls again: a new one, and how far each is. */

import { html } from "htm/preact";
import { exactUsd } from "../../charts/groups.js";
import { Track } from "../../parts/figures.js";
import { submitting, useFields } from "../../parts/forms.js";
import { Failure } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { percent, plural, time, whole } from "../../text/format.js";

const PATH = "prices/recosts";
const WHILE_RUNNING_MS = 1000;
const FIELDS = [
  { name: "from", label: "From", placeholder: "2026-11-01", required: true },
  { name: "to", label: "To; empty is now", placeholder: "2026-12-01" },
];
const RUNNING = ["waiting", "running"];

/** A job that is not over, of those that are listed. */
function isOpen(jobs) {
  return jobs?.results.some(({ state }) => RUNNING.includes(state));
}

export function Recosts({ isOwner }) {
  const { data, error, reload } = useResource(PATH, {}, { every: (jobs) => (isOpen(jobs) ? WHILE_RUNNING_MS : 0) });
  const jobs = data?.results ?? [];
  return html`
    <section class="card recosts">
      <h2>Past calls</h2>
      <p class="quiet">What is recorded keeps its cost, until you price a range again with today's prices. Old and new cost are kept.</p>
      ${isOwner && html`<${NewJob} disabled=${isOpen(data)} onRequested=${reload} />`}
      ${error && html`<${Failure} error=${error} retry=${reload} />`}
      <ul class="rows" aria-label="Jobs that price past calls again">
        ${jobs.map((job) => html`<${Job} key=${job.id} job=${job} isOwner=${isOwner} onChanged=${reload} />`)}
      </ul>
    </section>
  `;
}

function NewJob({ disabled, onRequested }) {
  const { drawn, given } = useFields(FIELDS);
  const { busy, error, run } = useChange();
  const create = () => run(() => send("POST", PATH, given).then(onRequested));
  return html`
    <form class="form across" onSubmit=${submitting(create)}>
      ${drawn}
      <button type="submit" disabled=${busy || disabled}>Price again</button>
    </form>
    ${error && html`<${Failure} error=${error} />`}
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
        requested ${time(at)}; ${total !== null ? `${whole(done)} of ${plural(total, "call")}` : state === "waiting" ? "not counted yet" : plural(done, "call")}${open && total > 0 && ` (${percent(done, total)})`}, ${whole(changed)} with another cost${skipped > 0 && `, ${whole(skipped)} left as they are`}; ${exactUsd(Number(before))} before, ${exactUsd(Number(after))} now${why && html`. <span class="bad">${why}</span>`}
      </span>
      ${open && isOwner && html`<button type="button" class="danger" disabled=${busy} aria-label=${`Cancel pricing ${range} again`} onClick=${cancel}>Cancel</button>`}
      ${open && (total !== null || state === "waiting") && html`<${Track} label=${`Progress of ${range}`} value=${done} max=${total || 1} />`}
      ${error && html`<${Failure} error=${error} />`}
    </li>
  `;
}
