/** A row of buttons; one is pressed. */

import { html } from "htm/preact";

/** `options` are pairs of value and text. */
export function Segmented({ label, options, value, onChoose }) {
  return html`
    <div class="segmented" role="group" aria-label=${label}>
      ${options.map(
        ([option, text]) =>
          html`<button type="button" key=${option} aria-pressed=${option === value} onClick=${() => onChoose(option)}>
            ${text}
          </button>`,
      )}
    </div>
  `;
}
