/** The keys, and the ways to more. */

import { html } from "htm/preact";
import { KEYS, VIEW_KEYS } from "./keys.js";
import { Dialog } from "../parts/dialog.js";

/** `titles` are the views that one may go to, as `[view, title]`. */
export function Help({ titles, onClose }) {
  const views = Object.entries(VIEW_KEYS).flatMap(([key, view]) => titles.filter(([name]) => name === view).map(([, title]) => [`g ${key}`, title]));
  return html`
    <${Dialog} title="Keys" onClose=${onClose}>
      <div class="keys">
        ${[...KEYS, ["Go to a view", views]].map(
          ([where, keys]) => html`
            <section key=${where}>
              <h3>${where}</h3>
              <dl>
                ${keys.map(([key, what]) => html`<div key=${key}><dt>${key.split(" ").map((word) => (word === "or" ? " or " : html`<kbd>${word}</kbd> `))}</dt><dd>${what}</dd></div>`)}
              </dl>
            </section>
          `,
        )}
      </div>
      <div class="buttons"><button type="button" onClick=${onClose}>Close</button></div>
    <//>
  `;
}
