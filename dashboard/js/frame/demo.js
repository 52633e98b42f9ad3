/** The demo company: the page below `/demo-company/` shows it alone, and says so on every view. */

import { html } from "htm/preact";

/** Whether this page shows the demo company. */
export const IN_DEMO = new URL(document.baseURI).pathname.endsWith("/demo-company/");

/** Where the page of real records begins, seen from this one. */
export const ROOT = IN_DEMO ? "../" : "./";

/** The page of the demo company, seen from that of real records. */
export const DEMO = "demo-company/";

/** What is said on every view of the demo company. */
export function InDemo() {
  return html`
    <div class="demo-note flow">
      <p><strong>A demo company is shown.</strong> All of it is invented.</p>
      <a href=${ROOT}>Back to your own calls</a>
    </div>
  `;
}
