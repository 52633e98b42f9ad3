/** The lists of calls: those that were made, those that were refused, and why either went wrong. */

import { html } from "htm/preact";
import { go, href } from "../router.js";
import { Segmented } from "./segmented.js";

const LISTS = [
  ["interceptions", "Calls"],
  ["refusals", "Refused"],
  ["errors", "Errors"],
];

/** `view` is the list that is shown; the time stays chosen. */
export function ListTabs({ view, since }) {
  return html`
    <p class="list-tabs"><${Segmented} label="List" options=${LISTS} value=${view} onChoose=${(chosen) => chosen !== view && go(href(chosen, "", { since }))} /></p>
  `;
}
