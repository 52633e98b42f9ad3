/** Where the time of a call went. */

import { html } from "htm/preact";
import { between, duration } from "../format.js";

/** A bar in two parts: until the first byte, and from then to the end. */
export function Timing({ interception: { started_at: started, first_byte_at: first, ended_at: ended } }) {
  const whole = between(started, ended);
  const waiting = between(started, first) ?? whole;
  if (waiting === null) return html`<p class="note">Under way.</p>`;
  const end = Math.max(whole ?? waiting, waiting, 1);
  const parts = [
    ["waiting", first ? "To the first byte" : "No byte came", waiting],
    ...(first && whole !== null ? [["answering", "Answering", whole - waiting]] : []),
  ];
  return html`
    <div class="timing">
      <div class="bar" aria-hidden="true">
        ${parts.map(([kind, , ms]) => html`<span key=${kind} class=${kind} style=${{ width: `${(100 * ms) / end}%` }}></span>`)}
      </div>
      <dl class="figures">
        ${parts.map(([kind, text, ms]) => html`<div key=${kind}><dt><i class="swatch ${kind}"></i>${text}</dt><dd>${duration(ms)}</dd></div>`)}
        <div><dt>In all</dt><dd>${whole === null ? "under way" : duration(whole)}</dd></div>
      </dl>
    </div>
  `;
}
