/** The name of a saved view, and who sees it. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { getVersioned, send, sendVersioned } from "../server/api.js";
import { Dialog } from "../parts/dialog.js";
import { TextField } from "../parts/field.js";
import { submitting } from "../parts/form.js";
import { Failure } from "../parts/states.js";
import { useChange } from "../server/resource.js";
import { PAGES, isSame } from "./addresses.js";

const MAX_NAME = 80;

/** `view` is what is changed, and undefined for a new one; `shown` is where one is, as it would be saved. */
export function ViewDialog({ view, shown, onClose, onDone }) {
  const path = `views/${view?.id}`;
  const [kept, setKept] = useState(null);
  const [name, setName] = useState(view?.name ?? "");
  const [shared, setShared] = useState(view?.shared ?? false);
  const [moved, setMoved] = useState(false);
  const { busy, error, run } = useChange();
  const load = () =>
    run(async () => {
      const found = await getVersioned(path);
      setKept(found);
      setName(found.data.name);
      setShared(found.data.shared);
    });
  useEffect(() => {
    if (view) load();
  }, []);
  const submit = submitting(() => {
    const fields = { name: name.trim(), shared, ...(view && !moved ? {} : shown) };
    run(async () => onDone(view ? (await sendVersioned("PATCH", path, fields, kept.version)).data : await send("POST", "views", fields)));
  });
  const isRead = !view || kept;
  const canMove = view && Object.hasOwn(PAGES, shown.page) && !isSame(view, shown);
  return html`
    <${Dialog} title=${view ? "Change a saved view" : "Save view"} onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <${TextField} label="Name" value=${name} maxlength=${MAX_NAME} required readonly=${!isRead} onText=${setName} />
        <label class="tick"><input type="checkbox" checked=${shared} disabled=${!isRead} onChange=${({ target }) => setShared(target.checked)} /> Share it with everybody; each sees in it what they may see anyway</label>
        ${canMove && html`<label class="tick"><input type="checkbox" checked=${moved} onChange=${({ target }) => setMoved(target.checked)} /> Let it open what is shown now</label>`}
        <p class="quiet">${whatOpens(view && !moved ? view : shown)}</p>
        ${error && html`<${Failure} error=${error} retry=${view && (error.status === 412 || !isRead) ? load : undefined} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy || !isRead}>Save</button>
        </div>
      </form>
    <//>
  `;
}

function whatOpens({ page, query }) {
  const terms = Object.entries(query).map(([key, value]) => `${key} ${value}`);
  return `Opens ${[PAGES[page], ...terms].join(", ")}.`;
}
