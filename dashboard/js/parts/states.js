/** Placeholders while loading, for nothing found, and for errors. */

import { html } from "htm/preact";
import { percent, time } from "../text/format.js";

/** Something is on its way. */
export function Loading({ what = "Loading" }) {
  return html`<p class="note" role="status">${what} …</p>`;
}

/** In place of what is not there: that it is loading, or why it is not. */
export function Pending({ data, error, retry }) {
  if (error) return html`<${Failure} error=${error} retry=${retry} />`;
  return data ? null : html`<${Loading} />`;
}

/** The progress of reading calls, from 0 to 1; empty while unknown. */
export function Reading({ progress }) {
  if (typeof progress !== "number") return null;
  return html`<p class="note reading">
    <progress value=${progress} aria-label="Calls read"></progress>
    <span>${`Calls are read one by one: ${percent(progress, 1)}.`}</span>
  </p>`;
}

/** Before statistics: an error, or how far they are, and which calls they are without. `isLoaded`: there are some to draw. */
export function StatsState({ data, isLoaded, error, retry, progress }) {
  return html`
    ${error && html`<${Failure} error=${error} retry=${retry} />`}
    ${!error && !isLoaded && typeof progress !== "number" && html`<${Loading} />`}
    <${Reading} progress=${progress} />
    ${data?.recorded_since && html`<p class="note">Calls of before ${time(data.recorded_since)} are no longer recorded: these figures are without them.</p>`}
  `;
}

/** There is nothing, and why; children say what to do. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** What went wrong, in the server's words, or the browser's where the connection broke, and what to do. */
export function Failure({ error, retry }) {
  const { validations = [] } = error;
  return html`
    <div class="failure" role="alert">
      <p><strong>${error.message}</strong>${error.detail && html` ${error.detail}`}</p>
      ${validations.length > 0 &&
      html`<ul>
        ${validations.map(({ field, detail }) => html`<li key=${field}><code>${field}</code>: ${detail}</li>`)}
      </ul>`}
      ${retry && html`<button type="button" onClick=${retry}>${error.status === 412 ? "Load it again" : "Try again"}</button>`}
    </div>
  `;
}
