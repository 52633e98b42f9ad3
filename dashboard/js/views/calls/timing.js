/** Where the time of a call went. */

import { html } from "htm/preact";
import { between, duration } from "../../text/format.js";
import { connectingText, phasesOf } from "./phases.js";

/** A bar of the parts with a known length, and the numbers of all. */
export function Timing({ interception }) {
  const { started_at: started, upstream_asked_at: sent, ended_at: ended, connecting } = interception;
  const phases = phasesOf(interception);
  const known = phases.filter(({ ms }) => ms !== null);
  const sum = Math.max(1, known.reduce((total, { ms }) => total + ms, 0));
  const written = (ms) => (ms === null ? "under way" : duration(ms));
  return html`
    <div class="timing">
      <div class="bar" aria-hidden="true">
        ${known.map(({ kind, ms }) => html`<span key=${kind} class=${kind} style=${{ width: `${(100 * ms) / sum}%` }}></span>`)}
      </div>
      <dl class="figures">
        ${phases.map(({ kind, text, ms }) => html`<div key=${kind}><dt><i class="swatch ${kind}"></i>${text}</dt><dd>${written(ms)}</dd></div>`)}
        <div><dt>In all</dt><dd>${written(between(started, ended))}</dd></div>
      </dl>
      ${connecting && html`<p class="quiet">${connectingText(connecting)}</p>`}
      ${ended && !sent && html`<p class="quiet">No time for the provider request: it was never sent, or the server crashed.</p>`}
    </div>
  `;
}
