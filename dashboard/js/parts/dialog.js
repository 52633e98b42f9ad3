/** Dialogs, which come before anything else. */

import { html } from "htm/preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useChange } from "../server/resource.js";
import { Failure } from "./states.js";

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
 * A last question; children say what will happen.
 *
 * @param {string} verb what the button says that does it.
 * @param {() => Promise} act does it; what it throws is shown.
 * @param {() => void} onStale called where there is a newer version, and the user wants that.
 */
export function Confirm({ title, verb, act, onClose, onStale, children }) {
  const { busy, error, run } = useChange();
  const renew = () => {
    onClose();
    onStale();
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      ${children}
      ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? renew : undefined} />`}
      <div class="buttons">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="button" class="danger" disabled=${busy} onClick=${() => run(act)}>${verb}</button>
      </div>
    <//>
  `;
}

/** Removes something for good, after a last question; children say what that means. `what` is as in "this group". */
export function Removal({ what, title, remove, onStale, children }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <section><button type="button" class="danger" onClick=${() => setOpen(true)}>Remove ${what}</button></section>
    ${isOpen && html`<${Confirm} title=${title} verb="Remove" act=${remove} onClose=${() => setOpen(false)} onStale=${onStale}>${children}<//>`}
  `;
}
