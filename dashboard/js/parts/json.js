/** JSON text for reading. */

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import { layOut } from "../text/json_text.js";

// Colours for more than this would make the page slow; the text is shown whole all the same.
const COLOURED = 20_000;

/** JSON indented and coloured; any other text unchanged. */
export function Json({ text }) {
  const pieces = useMemo(() => layOut(text), [text]);
  if (pieces === null) return html`<pre tabindex="0">${text}</pre>`;
  if (text.length > COLOURED) return html`<pre tabindex="0">${pieces.map((piece) => piece.text).join("")}</pre>`;
  return html`<pre class="json" tabindex="0">${pieces.map(({ kind, text: piece }) =>
    kind === "mark" ? piece : html`<span class=${kind}>${piece}</span>`,
  )}</pre>`;
}
