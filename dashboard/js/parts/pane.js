/** The details of one item, beside its list or over it. */

import { html } from "htm/preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** `mark` is shown beside the title, which has the focus at first. */
export function Pane({ label, title, mark, onClose, children }) {
  const heading = useRef(null);
  // Before the next key: an effect that waits for a paint would take the focus from the row to which that key went.
  useLayoutEffect(() => heading.current.focus({ preventScroll: true }), []);
  return html`
    <aside class="detail" aria-label=${label} tabindex="-1">
      <header>
        <h2 ref=${heading} tabindex="-1">${title}</h2>
        ${mark}
        <button type="button" class="plain close" onClick=${onClose} aria-label="Close">✕</button>
      </header>
      ${children}
    </aside>
  `;
}
