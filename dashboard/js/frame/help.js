/** The keys, and the ways to more. */

import { html } from "htm/preact";
import { Dialog } from "../parts/forms.js";

/** What each key does that is none of a view. */
const KEYS = [
  ["Everywhere", [["?", "Show these keys"], ["Esc", "Close what is open"]]],
  ["In a list", [["j or ↓", "Go to the next line"], ["k or ↑", "Go to the line before"], ["Enter", "Open the line"], ["/", "Search"]]],
  ["On a chart", [["← →", "Go from bar to bar"], ["Home End", "Go to the first bar, to the last"], ["Enter", "Show its calls"], ["Shift ← →", "Choose a range; Enter shows it"]]],
];

/** `views` are those that one may go to by a key. */
export function Help({ views, onClose }) {
  return html`
    <${Dialog} title="Keys" onClose=${onClose}>
      <div class="keys">
        ${[...KEYS, ["Go to a view", views.map(({ key, title }) => [`g ${key}`, title])]].map(
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
