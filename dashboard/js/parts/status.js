/** The status of a call. */

import { html } from "htm/preact";
import { words } from "../text/format.js";

const MARKS = { completed: "✓", failed: "✕", in_flight: "●" };

/** A mark and a word; colour never speaks alone. */
export function Status({ interception: { status, end_reason: reason } }) {
  const text = status === "failed" ? reason : status;
  return html`<span class="status ${status}"><span aria-hidden="true">${MARKS[status]}</span> ${words(text ?? status)}</span>`;
}
