/** One limit of a user, with its usage, its source, and when more is available. */

import { html } from "htm/preact";
import { limitFigure, limitNote, limitTitle, partText, sourceText } from "../../text/limits_text.js";
import { Gauge } from "./gauge.js";

function LimitRule({ rule }) {
  const format = limitFigure(rule);
  const from = [sourceText(rule.source), partText(rule)].filter(Boolean).join(", ");
  const note = limitNote(rule);
  const out = rule.holds && !rule.remaining && rule.maximum > 0;
  return html`
    <li>
      <${Gauge} name=${limitTitle(rule)} used=${rule.used} limit=${rule.maximum} format=${format} />
      <p class="quiet">
        ${from}${rule.reserved > 0 && `; ${format(rule.reserved)} held back for calls under way`}${rule.shadow && html`; <b>only counts, refuses nothing</b>`}${note && html`. <span class=${out ? "bad" : ""}>${note}</span>`}
      </p>
    </li>
  `;
}

/** Several of them; `none` is said where there are none. */
export function LimitRules({ rules, none }) {
  if (!rules.length) return html`<p class="quiet">${none}</p>`;
  return html`<ul class="gauges">${rules.map((rule, number) => html`<${LimitRule} key=${number} rule=${rule} />`)}</ul>`;
}
