/** Forms that send a change: above their buttons stands what went wrong. */

import { html } from "htm/preact";
import { useChange } from "../server/resource.js";
import { Dialog } from "./dialog.js";
import { Failure } from "./states.js";

/** What a form calls when it is sent: `act`, and nothing of the browser's own. */
export function submitting(act) {
  return (event) => {
    event.preventDefault();
    act();
  };
}

/**
 * A form in a dialog.
 *
 * @param {string} verb what the button says that sends it.
 * @param {() => Promise} save sends it; what it throws is shown.
 * @param {() => void} onStale called where there is a newer version, and the user wants that.
 */
export function DialogForm({ title, verb, save, onClose, onStale, children }) {
  const { busy, error, run } = useChange();
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form class="form" onSubmit=${submitting(() => run(save))}>
        ${children}
        ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? onStale : undefined} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy}>${verb}</button>
        </div>
      </form>
    <//>
  `;
}

/** A form that changes `fields` of something; empty, there is nothing to save. `save` and `onStale` as above. */
export function ChangeForm({ fields, save, onStale, children }) {
  const { busy, error, run } = useChange();
  return html`
    <form class="form" onSubmit=${submitting(() => run(save))}>
      ${children}
      ${error && html`<${Failure} error=${error} retry=${error.status === 412 ? onStale : undefined} />`}
      <div class="buttons"><button type="submit" class="primary" disabled=${busy || !Object.keys(fields).length}>Save</button></div>
    </form>
  `;
}
