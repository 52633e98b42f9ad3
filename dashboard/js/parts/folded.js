/** A text that may be long, folded to its beginning. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { whole } from "../text/format.js";

const SHORT = 600; // characters

/** `open` shows all of it, whatever the user chose. */
export function Folded({ text, open = false }) {
  const [all, setAll] = useState(false);
  if (open || text.length <= SHORT) return html`<p class="text">${text}</p>`;
  const begin = text.slice(0, SHORT).replace(/[\ud800-\udbff]$/, "");
  return html`
    <p class="text">${all ? text : `${begin}…`}</p>
    <button type="button" class="fold" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? "Show the beginning alone" : `Show all ${whole(text.length)} characters`}</button>
  `;
}
