/** Placeholders while loading, for nothing found, and for errors. */

import { html } from "htm/preact";
import { percent, time } from "../text/format.js";

/** Something is on its way. */
export function Loading({ what = "Loading" }) {
  return html`<p class="note quiet" role="status">${what} …</p>`;
}

/** In place of what is not there: how far it is, or why it is not there. */
export function Pending({ data, error, retry, progress }) {
  if (error) return html`<${Failure} error=${error} retry=${retry} />`;
  if (typeof progress === "number") return html`<${Reading} progress=${progress} />`;
  return data ? null : html`<${Loading} />`;
}

/** The progress of reading calls, from 0 to 1. */
function Reading({ progress }) {
  return html`<p class="note quiet reading">
    <progress value=${progress} aria-label="Calls read"></progress>
    <span>${`Calls are read one by one: ${percent(progress, 1)}.`}</span>
  </p>`;
}

/** Which calls statistics are without. */
export function Unrecorded({ data }) {
  return data?.recorded_since && html`<p class="note quiet">Calls of before ${time(data.recorded_since)} are no longer recorded: these figures are without them.</p>`;
}

/** There is nothing, and why; children say what to do. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** What went wrong, in the server's words, or the browser's where the connection broke, and what to do: with what somebody else changed one begins again. */
export function Failure({ error, retry }) {
  const { validations = [] } = error;
  const isStale = error.status === 412;
  return html`
    <div class="failure" role="alert">
      <p><strong>${error.message}</strong>${error.detail && html` ${error.detail}`}</p>
      ${validations.length > 0 &&
      html`<ul>
        ${validations.map(({ field, detail }) => html`<li key=${field}><code>${field}</code>: ${detail}</li>`)}
      </ul>`}
      ${isStale && html`<button type="button" onClick=${() => location.reload()}>Load it again</button>`}
      ${retry && !isStale && html`<button type="button" onClick=${retry}>Try again</button>`}
    </div>
  `;
}
