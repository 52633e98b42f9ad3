/** A field of a form with its name. */

import { html } from "htm/preact";

/** The `ref` of a field that has the focus at first. A browser keeps `autofocus` for the first field of a page, and complains of later ones. */
export const takeFocus = (element) => element?.focus();

/** A text field; `hint` says what is allowed, other properties are those of the input. */
export function TextField({ label, hint, onText, ...input }) {
  return html`
    <label class="field">
      <span>${label}</span>
      <input type="text" autocomplete="off" spellcheck=${false} onInput=${(event) => onText(event.target.value)} ...${input} />
      ${hint && html`<small class="quiet">${hint}</small>`}
    </label>
  `;
}

/** Several lines; other properties are those of the area. */
export function AreaField({ label, hint, onText, ...area }) {
  return html`
    <label class="field">
      <span>${label}</span>
      <textarea autocomplete="off" spellcheck=${false} onInput=${(event) => onText(event.target.value)} ...${area}></textarea>
      ${hint && html`<small class="quiet">${hint}</small>`}
    </label>
  `;
}

/** One of several; `options` are pairs of value and text. */
export function ChoiceField({ label, hint, value, options, onChoose }) {
  return html`
    <label class="field">
      <span>${label}</span>
      <select value=${value} onChange=${(event) => onChoose(event.target.value)}>
        ${options.map(([option, text]) => html`<option key=${option} value=${option}>${text}</option>`)}
      </select>
      ${hint && html`<small class="quiet">${hint}</small>`}
    </label>
  `;
}
