/** A bar of how much of something is used or done. */

import { html } from "htm/preact";

/** `value` of `max`, as a meter named `label`; `level` is its colour. */
export function Track({ label, value, max, level = "fine" }) {
  return html`
    <div class="track" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${max} aria-valuenow=${value}>
      <span class=${level} style=${{ width: `${(100 * value) / max}%` }}></span>
    </div>
  `;
}
