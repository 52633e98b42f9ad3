/** The lists of calls: those that were made, those that were refused, and why either went wrong. */

import { html } from "htm/preact";
import { rangeParams } from "../../bar/range.js";
import { go, href } from "../../frame/router.js";
import { Segmented } from "../../parts/segmented.js";

const LISTS = [
  ["interceptions", "Calls"],
  ["refusals", "Refused"],
  ["errors", "Errors"],
];

/** The time stays chosen. */
export function ListTabs({ route: { view, params } }) {
  return html`
    <p class="list-tabs"><${Segmented} label="List" options=${LISTS} value=${view} onChoose=${(chosen) => chosen !== view && go(href(chosen, "", rangeParams(params)))} /></p>
  `;
}
