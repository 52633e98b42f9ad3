/** The calls of a session on a time axis: a row for each agent, what was waited for lighter, pauses and refusals marked. */

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import { duration, plural, time } from "../../text/format.js";
import { agentName, axisOf } from "./story.js";

const NAMED = 8;
const percent = (part) => `${(100 * part).toFixed(3)}%`;

/** `onChoose` gets the id of a call that was clicked; its step says the same to who cannot see the axis. */
export function Axis({ timeline, onChoose }) {
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
