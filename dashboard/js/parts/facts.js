/** Facts with their names. */

import { html } from "htm/preact";

/** `facts` are pairs of name and value; those without a value are left out. */
export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value);
  return html`<dl class="facts">${known.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}
