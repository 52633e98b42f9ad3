/** How much of limits is used, and which of them refused calls: the same wherever limits are shown. */

import { html } from "htm/preact";
import { Track } from "../../parts/figures.js";
import { whole } from "../../text/format.js";
import { limitFigure, limitNote, limitTitle, partText, sourceText } from "../../text/limits_text.js";
import { reasonOf, titleOf } from "../../text/vocabulary.js";

const NEARLY = 0.8;

/** `limit` 0: no limit; only the figure is shown. `format` writes it; `shownName` is the name with a link, where it has one. */
export function Gauge({ name, shownName = name, used, limit, format = whole }) {
  const part = limit ? Math.min(1, used / limit) : 0;
  const level = part >= 1 ? "full" : part >= NEARLY ? "high" : "fine";
  return html`
    <div class="gauge flow">
      <span class="name">${shownName}</span>
      <span class="amount"><b>${format(used)}</b>${limit ? ` of ${format(limit)}` : ""}</span>
      ${limit > 0 && html`<${Track} label=${name} value=${Math.min(used, limit)} max=${limit} level=${level} />`}
    </div>
  `;
}

/** Limits of a user, each with its usage, its source, and when more is available; `none` is said where there are none. */
export function LimitRules({ rules, none }) {
  if (!rules.length) return html`<p class="quiet">${none}</p>`;
  return html`<ul class="gauges stack">${rules.map((rule, number) => html`<${LimitRule} key=${number} rule=${rule} />`)}</ul>`;
}

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

/** How often each rule refused; `hrefOf` has the address of those calls, where there is one. */
export function RefusedRules({ rules, hrefOf }) {
  const name = ({ rule, count }) => html`<b>${whole(count)} × ${titleOf(rule)}</b>`;
  return html`
    <ul class="refused-rules stack">
      ${rules.map((one) => html`<li key=${one.rule}>${hrefOf ? html`<a href=${hrefOf(one.rule)}>${name(one)}</a>` : name(one)} <span class="quiet">${reasonOf(one.rule)}</span></li>`)}
    </ul>
  `;
}
