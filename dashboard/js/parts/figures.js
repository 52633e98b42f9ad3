/** Facts and figures: with their names, as a bar, and what a call used. */

import { html } from "htm/preact";
import { reported, short, sumTokens, tokensIn, UNKNOWN, usd, whole, words } from "../text/format.js";
import { endTitle } from "../text/vocabulary.js";

const NEARLY = 0.8;
const MARKS = { completed: "✓", failed: "✕", in_flight: "●" };
/** The four counts of a usage, and what they are called. */
export const TOKENS = [
  ["input_tokens", "Input"],
  ["cache_read_input_tokens", "Read from cache"],
  ["cache_write_input_tokens", "Written to cache"],
  ["output_tokens", "Output"],
];

/** `facts` are pairs of name and value; those without a value are left out. */
export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value);
  return html`<dl class="facts">${known.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/**
 * A table that is scrolled sideways where it is too wide: `heads` are the cells of its head, children its rows. `kind` and `box` are
 * classes of it and of what it is scrolled in, `foot` are the cells of its last row, `note` stands below it.
 */
export function Table({ label, heads, kind, box = "", foot, note, children }) {
  return html`
    <div class="scroll ${box}" tabindex="0" role="region" aria-label=${label}>
      <table class=${kind}>
        <thead><tr>${heads}</tr></thead>
        ${foot && html`<tfoot><tr>${foot}</tr></tfoot>`}
        <tbody>${children}</tbody>
      </table>
      ${note}
    </div>
  `;
}

/** `options` are pairs of value and text. */
export function Segmented({ label, options, value, onChoose }) {
  return html`
    <div class="segmented" role="group" aria-label=${label}>
      ${options.map(
        ([option, text]) =>
          html`<button type="button" key=${option} aria-pressed=${option === value} onClick=${() => onChoose(option)}>
            ${text}
          </button>`,
      )}
    </div>
  `;
}

/** `value` of `max`, as a meter named `label`. With `isLimit` its colour says how near it is to being full. */
export function Track({ label, value, max, isLimit = false }) {
  const part = max ? Math.min(1, value / max) : 1;
  const level = !isLimit || part < NEARLY ? "fine" : part < 1 ? "high" : "full";
  return html`
    <div class="track" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${max || 1} aria-valuenow=${Math.min(value, max || 1)}>
      <span class=${level} style=${{ width: `${100 * part}%` }}></span>
    </div>
  `;
}

/** How often which reason was why, each `{title, count, meaning, link}`; the link leads to its calls. */
export function Reasons({ reasons }) {
  return html`
    <ul class="reasons stack">
      ${reasons.map(({ title, count, meaning, link }) => html`<li key=${title}><a href=${link}><b>${whole(count)} × ${title}</b></a> <span class="quiet">${meaning}</span></li>`)}
    </ul>
  `;
}

/** A mark and a word. The mark does for the states in `marked`. */
export function Status({ interception: { status, end_reason: reason }, marked = [] }) {
  const text = status === "failed" && reason ? endTitle(reason) : words(status);
  return html`<span class="status ${status}" title=${text}><span aria-hidden="true">${MARKS[status]}</span> <span class=${marked.includes(status) ? "said" : "word"}>${text}</span></span>`;
}

/** The four counts and the cost as figures; dashes where no token was reported. */
export function UsageFigures({ usage, cost }) {
  const known = reported(usage);
  return html`
    <dl class="figures">
      ${TOKENS.map(([key, text]) => html`<div key=${key}><dt>${text}</dt><dd>${known ? whole(usage[key]) : UNKNOWN}</dd></div>`)}
      <div><dt>Cost</dt><dd>${usd(cost)}</dd></div>
    </dl>
  `;
}

/** Tokens in and out in a line of a list. */
export function UsageShort({ usage }) {
  const into = tokensIn(usage);
  const out = usage.output_tokens;
  if (into === null && out === null) return html`<span class="usage number quiet">${UNKNOWN}</span>`;
  return html`<span class="usage number"><span class="said">tokens in</span>${short(into)}<span class="quiet" aria-hidden="true"> → </span><span class="said">out</span>${short(out)}</span>`;
}

/** The counts of an interception. */
export function usageOf(interception) {
  return sumTokens(interception.token_usages);
}

/** Its cost in US dollars, null if it has none. */
export function costOf({ cost }) {
  return cost?.usd ?? null;
}
