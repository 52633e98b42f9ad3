/** Dialogs and forms: fields that are declared, what is sent of them, and what went wrong. */

import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { send } from "../server/api.js";
import { useChange } from "../server/resource.js";
import { Failure } from "./states.js";

/** What a form calls when it is sent: `act`, and nothing of the browser's own. */
export function submitting(act) {
  return (event) => {
    event.preventDefault();
    act();
  };
}

/** The `ref` of a field that has the focus at first. A browser keeps `autofocus` for the first field of a page, and complains of later ones. */
export const takeFocus = (element) => element?.focus();

/** A field with its name; `hint` says what is allowed. With `options`, pairs of value and text, it is a choice; with `rows` it has several lines. */
export function Field({ label, hint, options, value, onText, ...input }) {
  const put = ({ target }) => onText(target.value);
  const own = { value, autocomplete: "off", spellcheck: false, onInput: put, ...input };
  const choice = () => html`
    <select value=${value} onChange=${put}>
      ${options.map(([option, text]) => html`<option key=${option} value=${option}>${text}</option>`)}
    </select>
  `;
  return html`
    <label class="field stack">
      <span>${label}</span>
      ${options ? choice() : input.rows ? html`<textarea ...${own}></textarea>` : html`<input type="text" ...${own} />`}
      ${hint && html`<small class="quiet">${hint}</small>`}
    </label>
  `;
}

/**
 * The fields of a form as they are drawn, and what was typed.
 *
 * @param {Object[]} fields each `{name, ...}` as `Field` takes it; `read` makes of its text what is sent, `when` says of all texts
 *   whether it is there.
 * @param {Object} initial the texts by name; new ones take the place of what was typed.
 * @returns `given`: what is sent of fields that are not empty; `changed`: of those that are not as they were.
 */
export function useFields(fields, initial = {}) {
  const begin = () => Object.fromEntries(fields.map(({ name }) => [name, initial[name] ?? ""]));
  const [texts, setTexts] = useState(begin);
  useEffect(() => setTexts(begin), [JSON.stringify(initial)]);
  const there = fields.filter(({ when }) => !when || when(texts));
  const sent = (wanted) => Object.fromEntries(there.filter(wanted).map(({ name, read = (text) => text }) => [name, read(texts[name])]));
  const drawn = there.map(({ name, read, when, ...field }) => {
    const onText = (text) => setTexts((before) => ({ ...before, [name]: text }));
    return html`<${Field} key=${name} ...${field} value=${texts[name]} onText=${onText} />`;
  });
  return { drawn, reset: () => setTexts(begin), given: sent(({ name }) => texts[name].trim()), changed: sent(({ name }) => texts[name] !== (initial[name] ?? "")) };
}

/** Over everything, with the focus kept in it; Esc closes it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  // Before the next key, which is meant for it.
  useLayoutEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`
    <dialog ref=${box} aria-labelledby="dialog-title" onClose=${onClose}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
    </dialog>
  `;
}

/**
 * A form in a dialog: children are above its buttons.
 *
 * @param {string} verb what the button says that sends it.
 * @param {() => Promise} save sends it; what it throws is shown.
 */
export function DialogForm({ title, verb, kind = "primary", save, onClose, children }) {
  const { busy, error, run } = useChange();
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form class="form stack" onSubmit=${submitting(() => run(save))}>
        ${children}
        ${error && html`<${Failure} error=${error} />`}
        <div class="buttons flow">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class=${kind} disabled=${busy}>${verb}</button>
        </div>
      </form>
    <//>
  `;
}

/** A dialog with the fields of something new, as `useFields` takes them; `add` gets what was given. */
export function NewOne({ fields, initial, add, ...dialog }) {
  const { drawn, given } = useFields(fields, initial);
  return html`<${DialogForm} verb="Add" ...${dialog} save=${() => add(given)}>${drawn}<//>`;
}

/** A form in a line: `act` gets what was given. It is empty again once that was sent, unless it `keeps` it. */
export function LineForm({ fields, initial, verb, disabled, keeps = false, act }) {
  const { drawn, given, reset } = useFields(fields, initial);
  const { busy, error, run } = useChange();
  return html`
    <form class="form across stack" onSubmit=${submitting(() => run(() => act(given).then(() => keeps || reset())))}>
      ${drawn}
      <button type="submit" disabled=${busy || disabled}>${verb}</button>
    </form>
    ${error && html`<${Failure} error=${error} />`}
  `;
}

/** A form with the fields of something that is there; `save` gets what was changed. Children are further buttons. */
export function ChangeForm({ fields, initial, save, children }) {
  const { drawn, changed } = useFields(fields, initial);
  const { busy, error, run } = useChange();
  const [saved, setSaved] = useState(false);
  const unchanged = !Object.keys(changed).length;
  const act = async () => {
    await save(changed);
    setSaved(true);
  };
  return html`
    <form class="form stack" onSubmit=${submitting(() => run(act))}>
      ${drawn}
      ${error && html`<${Failure} error=${error} />`}
      <div class="buttons flow">
        <span role="status" class="quiet">${saved && unchanged ? "Saved" : ""}</span>
        ${children}
        <button type="submit" class="primary" disabled=${busy || unchanged}>Save</button>
      </div>
    </form>
  `;
}

/** A last question; children say what will happen. `act` does it and closes the dialog, `verb` is what its button says. */
export function Confirm({ act, onClose, ...dialog }) {
  return html`<${DialogForm} kind="danger" ...${dialog} save=${() => act().then(onClose)} onClose=${onClose} />`;
}

/** A button that adds something in a dialog with these fields; `onAdded` gets what is there then. `what` is as in "a group", `path` where they are. */
export function Addition({ verb = "Add", what, path, fields, initial, onAdded }) {
  const [isOpen, setOpen] = useState(false);
  const added = (one) => {
    setOpen(false);
    onAdded(one);
  };
  return html`
    <button type="button" onClick=${() => setOpen(true)}>${verb} ${what}</button>
    ${isOpen && html`<${NewOne} title=${`${verb} ${what}`} verb=${verb} fields=${fields} initial=${initial} add=${(given) => send("POST", path, given).then(added)} onClose=${() => setOpen(false)} />`}
  `;
}

/**
 * A button of danger that asks a last question; children say what will happen. `text` is what it says, `name` what it is called to who
 * cannot see where it stands, `verb` what the question's button says.
 */
export function ConfirmButton({ text, name, verb = text, ...question }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <button type="button" class="danger" aria-label=${name} onClick=${() => setOpen(true)}>${text}</button>
    ${isOpen && html`<${Confirm} verb=${verb} ...${question} onClose=${() => setOpen(false)} />`}
  `;
}

/** Removes something for good, after a last question; children say what that means. `what` is as in "this group". */
export function Removal({ what, remove, ...question }) {
  return html`<section><${ConfirmButton} text=${`Remove ${what}`} verb="Remove" act=${remove} ...${question} /></section>`;
}
