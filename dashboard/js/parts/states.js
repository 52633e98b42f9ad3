/** What stands where nothing is yet, nothing is at all, or something went wrong. */

import { html } from "htm/preact";

/** Something is on its way. */
export function Loading({ what = "Loading" }) {
  return html`<p class="note" role="status">${what} …</p>`;
}

/** There is nothing, and why; children say what to do. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** A view that is not for the role of who is signed in. */
export function NotForYou({ what, who = "owners and auditors" }) {
  return html`<${Empty} title="Not for your role"><p>Only ${who} may see ${what}.</p><//>`;
}

/** What went wrong, in the server's words, and what to do. */
export function Failure({ error, retry }) {
  return html`
    <div class="failure" role="alert">
      <p><strong>${error.message}</strong>${error.detail && html` ${error.detail}`}</p>
      ${error.validations.length > 0 &&
      html`<ul>
        ${error.validations.map(({ field, detail }) => html`<li key=${field}><code>${field}</code>: ${detail}</li>`)}
      </ul>`}
      ${retry && html`<button type="button" onClick=${retry}>${error.status === 412 ? "Load it again" : "Try again"}</button>`}
    </div>
  `;
}
