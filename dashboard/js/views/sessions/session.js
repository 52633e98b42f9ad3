/** One session: its first prompt, its calls on a time axis, and the steps of each thread in order. */

import { html } from "htm/preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { href } from "../../frame/router.js";
import { costOf, Status, UsageFigures, usageOf, UsageShort } from "../../parts/figures.js";
import { End } from "../../parts/list.js";
import { Empty } from "../../parts/states.js";
import { CopyButton } from "../../parts/texts.js";
import { usePages, useResource } from "../../server/resource.js";
import { between, duration, plural, short, time, usd, whole } from "../../text/format.js";
import { cacheLine, lossOf } from "../../text/prompt_cache.js";
import { CacheBreak, Said, What } from "../calls/detail.js";
import { agentName, axisOf, reportOf, retriesOf, tryOf } from "./story.js";

const PAGE = 10;

export function Session({ id }) {
  const path = `sessions/${encodeURIComponent(id)}`;
  const pages = usePages(path, {}, "after_thread_id", PAGE, { read: ({ thread_page: { results }, ...session }) => ({ results, session }) });
  const [chosen, setChosen] = useState("");
  const { session } = pages.rest;
  const { data: timeline, error: noTimeline } = useResource(`${path}/timeline`);
  const isThere = session && (timeline || noTimeline); // all at once, so that nothing moves
  // It may be in a thread that is not loaded yet.
  const isMissing = Boolean(chosen) && !pages.rows.some(({ interceptions }) => interceptions.some((step) => step.id === chosen));
  useEffect(() => {
    if (isMissing) pages.more();
  });
  useEffect(() => {
    if (chosen && !isMissing) document.getElementById(`step-${chosen}`)?.scrollIntoView({ block: "center" });
  }, [chosen, isMissing]);
  if (pages.error?.status === 404) {
    return html`<${Empty} title="There is no such session"><p>It belongs to another user, its retention is over, or its calls have not ended yet.</p><//>`;
  }
  const loops = new Map((timeline?.loops ?? []).map((loop) => [loop.interception_ids[0], loop]));
  const calls = new Map((timeline?.calls ?? []).map((call) => [call.id, call]));
  return html`
    <nav class="toolbar flow" aria-label="Sessions">
      <a href=${href("sessions")}>← Sessions</a>
      ${timeline?.earlier_session_id && html`<a href=${href("sessions", timeline.earlier_session_id)}>Earlier</a>`}
      ${timeline?.later_session_id && html`<a href=${href("sessions", timeline.later_session_id)}>Later</a>`}
    </nav>
    ${isThere && html`<${Head} session=${session} timeline=${timeline} onChoose=${setChosen} />`}
    ${isThere && pages.rows.map((thread) => html`<${Thread} key=${thread.id} thread=${thread} chosen=${chosen} loops=${loops} calls=${calls} />`)}
    <${End} pages=${pages} />
  `;
}

function Head({ session, timeline, onChoose }) {
  const { id, initiator, client, models, started_at: started, last_active_at: last, retries } = session;
  return html`
    <section class="session-head card stack">
      <h2>${session.first_prompt ?? session.last_prompt ?? "No prompt"}</h2>
      <p class="quiet">
        ${initiator.username} · ${client ?? "unknown client"} · ${time(started)}, ${duration(between(started, last))} ·${" "}
        ${plural(session.threads, "thread")} · ${plural(session.interceptions, "call")}, ${whole(session.failures)} failed · ${models.join(", ")}
      </p>
      <p class="quiet"><code>${id}</code> <${CopyButton} text=${id} what="session id" /></p>
      <${UsageFigures} usage=${session.token_usage} cost=${session.cost_usd} />
      ${cacheLine(session.cache) && html`<p class="cache-line">${cacheLine(session.cache)}</p>`}
      ${retriesOf(retries) && html`<p class="retry-line">${retriesOf(retries)}${retries.cost_usd > 0 && `; the tries before cost ${usd(retries.cost_usd)}`}</p>`}
      ${timeline?.client_report && html`<${Report} report=${timeline.client_report} session=${session} />`}
      ${timeline?.tools.length > 0 && html`<${Tools} tools=${timeline.tools} />`}
      ${timeline?.loops.length > 0 && html`<p class="text loop">Called again and again with the same arguments: ${timeline.loops.map((loop, index) => html`${index > 0 && ", "}<b>${loop.tool}</b> ${plural(loop.times, "time")}`)}.</p>`}
      ${timeline?.calls.length > 0 && html`<${Axis} timeline=${timeline} onChoose=${onChoose} />`}
    </section>
  `;
}

/** What the client says of the session, beside what was recorded. */
function Report({ report: { calls, cost_usd: cost, compactions, more }, session }) {
  return html`
    ${cost !== null && html`<p class="report-line">${session.client ?? "The client"} says ${more && "at least "}${usd(cost)} of ${plural(calls, "call")}, recorded ${usd(session.cost_usd)} of ${whole(session.interceptions)}.</p>`}
    ${compactions.length > 0 && html`<p class="report-line">Compacted ${compactions.map((one, index) => html`${index > 0 && ", "}${time(one.at)}${one.tokens_after !== null && ` from ${short(one.tokens_before)} to ${short(one.tokens_after)} tokens`}${one.succeeded === false && html` <b class="bad">failed</b>`}`)}.</p>`}
  `;
}

function Tools({ tools }) {
  return html`
    <ul class="tools flow" aria-label="Tools">
      ${tools.map(
        ({ tool, calls, errors }) => html`<li key=${tool}><code>${tool}</code> ${whole(calls)}${errors > 0 && html` <b class="bad">${whole(errors)} failed</b>`}</li>`,
      )}
    </ul>
  `;
}

function Thread({ thread: { started_at: started, last_active_at: last, interceptions, more_interceptions: more }, chosen, loops, calls }) {
  return html`
    <section class="thread card stack">
      <h2>${time(started)} <span class="quiet">${duration(between(started, last))}, ${plural(interceptions.length, "step")}${more ? " and more" : ""}</span></h2>
      <ol class="steps">
        ${interceptions.map((step) => html`<${Step} key=${step.id} interception=${step} open=${step.id === chosen} loop=${loops.get(step.id)} call=${calls.get(step.id)} />`)}
      </ol>
    </section>
  `;
}

/** A step, folded to a line: its prompt, its tools and their results, and its cost. */
function Step({ interception, open, loop, call }) {
  const { id, model, started_at: started, ended_at: ended, error, cache } = interception;
  const differs = call?.client_cost_usd != null && usd(call.client_cost_usd) !== usd(costOf(interception));
  return html`
    <li class=${`step stack ${interception.status}`} id=${`step-${id}`}>
      <details open=${open}>
        <summary class="line">
          <${Status} interception=${interception} marked=${["completed"]} />
          <span class="what"><${What} interception=${interception} /></span>
          ${tryOf(interception) && html`<span class="role">${tryOf(interception)}</span>`}
          ${loop && html`<span class="role">${loop.tool}: ${plural(loop.times, "time")} the same</span>`}
          ${cache?.broke && html`<span class="role">${lossOf(cache) || "cache broke"}</span>`}
          <span class="quiet">${usd(costOf(interception))} · ${duration(between(started, ended))}</span>
        </summary>
        <p class="quiet"><a href=${href("interceptions", id)}>${time(started)}</a> · ${model} · <${UsageShort} usage=${usageOf(interception)} />${differs && ` · the client says ${usd(call.client_cost_usd)}`}</p>
        <${Said} interception=${interception} />
        ${call?.tools.map(({ tool, report }) => report && html`<p class="quiet"><code>${tool}</code> ${reportOf(report)}</p>`)}
      </details>
      ${error && html`<p class="text bad">${error.message}</p>`}
      ${cache?.broke && html`<${CacheBreak} cache=${cache} />`}
    </li>
  `;
}

const NAMED = 8;
const percent = (part) => `${(100 * part).toFixed(3)}%`;

/** `onChoose` gets the id of a call that was clicked; its step says the same to who cannot see the axis. */
function Axis({ timeline, onChoose }) {
  const { lanes, pauses, refused } = useMemo(() => axisOf(timeline.calls, timeline.refusals, Date.now()), [timeline]);
  const agents = lanes.length > 1 ? ` by ${lanes.length} agents` : "";
  const refusals = refused.length ? `, ${plural(refused.length, "refusal")}` : "";
  return html`
    <figure class="axis">
      <div class="lanes" role="img" aria-label=${`${plural(timeline.calls.length, "call")}${agents} on a time axis${refusals}`}>
        ${pauses.map(({ left, ms }) => html`<span class="pause" style=${{ left: percent(left) }} title=${`Nothing for ${duration(ms)}`}></span>`)}
        ${lanes.map((lane) => lane.rows.map((row) => html`<${Lane} key=${`${lane.agent} ${row[0].call.id}`} name=${agentName(lane)} row=${row} onChoose=${onChoose} />`))}
        ${refused.map(
          ({ left, refusal }) => html`<span class="refused" style=${{ left: percent(left) }} title=${`${time(refusal.at)}: refused, ${refusal.rule}`}></span>`,
        )}
      </div>
      <figcaption class="quiet">
        Each bar is a call, its pale part the wait for the first byte${lanes.length > 1 ? `, each row an agent: ${lanes.slice(0, NAMED).map(agentName).join(", ")}${lanes.length > NAMED ? " .." : ""}` : ""}.
        ${pauses.length > 0 && ` ${plural(pauses.length, "pause")} cut, the longest ${duration(Math.max(...pauses.map(({ ms }) => ms)))}.`}
        ${refused.length > 0 && html` <b class="bad">${plural(refused.length, "refusal")}</b> of the same tokens in that time.`}
        ${timeline.more && " Only the first calls are shown."}
      </figcaption>
    </figure>
  `;
}

function Lane({ name, row, onChoose }) {
  return html`
    <div class="lane" title=${`Agent: ${name}`}>
      ${row.map(
        ({ call, left, width, wait }) => html`
          <span
            key=${call.id}
            class=${`bar ${call.status} ${call.attempt ? "again" : ""}`}
            style=${{ left: percent(left), width: percent(width) }}
            title=${`${time(call.started_at)}, ${call.model}${call.tools.length ? `: ${call.tools.map(({ tool }) => tool).join(", ")}` : ""}`}
            onClick=${() => onChoose(call.id)}
          ><i style=${{ width: percent(wait) }}></i></span>
        `,
      )}
    </div>
  `;
}
