/** Addresses of the page under names, one's own and those that others share: a menu of them, which saves one more, too. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { viewOf } from "../frame/registry.js";
import { Confirm, Dialog, DialogForm, Field } from "../parts/forms.js";
import { Pending } from "../parts/states.js";
import { send, sendVersioned } from "../server/api.js";
import { useResource, useVersioned } from "../server/resource.js";
import { addressOf, inMenu, isSame, savedOf } from "./addresses.js";

const MAX_VIEWS = 1000;
const MAX_NAME = 80;

export function SavedViews({ route, user }) {
  const shown = savedOf(route);
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState(null);
  const [message, setMessage] = useState("");
  const list = useResource(open ? "views" : null, { limit: MAX_VIEWS });
  const done = (text) => {
    setDialog(null);
    setMessage(text);
    list.reload();
  };
  const openDialog = (what, view) => setDialog({ what, view });
  const close = () => setDialog(null);
  return html`
    <div class="saved flow">
      <${Menu} open=${open} onOpen=${setOpen}>
        <button type="button" class="plain" onClick=${() => (setOpen(false), openDialog("save"))}>Save what is shown</button>
        <${Pending} data=${list.data} error=${list.error} retry=${list.reload} />
        ${list.data?.results.length === 0 && html`<p class="quiet">No view is saved yet.</p>`}
        ${list.data?.results.length > 0 && html`<ul>${inMenu(list.data.results, shown.page).map((view) => html`<${Line} key=${view.id} view=${view} user=${user} shown=${shown} onDialog=${openDialog} onChosen=${() => setOpen(false)} />`)}</ul>`}
      <//>
      <span class="done" role="status">${message}</span>
      ${dialog?.what === "save" && html`<${ViewDialog} title="Save view" shown=${shown} save=${(fields) => send("POST", "views", fields)} onClose=${close} onDone=${({ name }) => done(`Saved as “${name}”.`)} />`}
      ${dialog?.what === "change" && html`<${ChangeView} view=${dialog.view} shown=${shown} onClose=${close} onDone=${({ name }) => done(`Changed “${name}”.`)} />`}
      ${dialog?.what === "remove" && html`<${Removal} view=${dialog.view} onClose=${close} onDone=${() => done(`Removed “${dialog.view.name}”.`)} />`}
    </div>
  `;
}

/** What opens below its button, and closes by Esc, or when one goes elsewhere. */
function Menu({ open, onOpen, children }) {
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const leave = ({ target }) => box.current?.contains(target) || target.closest?.("dialog") || onOpen(false);
    addEventListener("pointerdown", leave);
    addEventListener("focusin", leave);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("focusin", leave);
    };
  }, [open]);
  const press = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.preventDefault();
    onOpen(false);
    box.current.querySelector("button").focus();
  };
  return html`
    <div class="menu flow" ref=${box} onKeyDown=${press}>
      <button type="button" aria-expanded=${open} aria-controls="saved-views" onClick=${() => onOpen(!open)}>Saved views</button>
      <section id="saved-views" class="menu-list" aria-label="Saved views" hidden=${!open}>${open && children}</section>
    </div>
  `;
}

function Line({ view, user, shown, onDialog, onChosen }) {
  const { name, page, shared, owner } = view;
  const isMine = owner.id === user.id;
  const about = [viewOf(page)?.title, shared && (isMine ? "shared" : `shared by ${owner.username}`)].filter(Boolean).join(", ");
  const mayChange = isMine || user.role === "owner";
  return html`
    <li>
      <a href=${addressOf(view)} aria-current=${isSame(view, shown) ? "page" : undefined} onClick=${onChosen}>${name}<small class="quiet">${about}</small></a>
      ${
        mayChange &&
        html`
          <button type="button" class="plain" aria-label=${`Change ${name}`} onClick=${() => onDialog("change", view)}>Change</button>
          <button type="button" class="plain" aria-label=${`Remove ${name}`} onClick=${() => onDialog("remove", view)}>Remove</button>
        `
      }
    </li>
  `;
}

function Removal({ view, onClose, onDone }) {
  const remove = () => send("DELETE", `views/${view.id}`).then(onDone);
  return html`
    <${Confirm} title=${`Remove “${view.name}”?`} verb="Remove" act=${remove} onClose=${onClose}>
      <p>${view.shared ? "It is shared: nobody finds it in the menu any more." : "It is not found in the menu any more."} Calls and figures stay as they are.</p>
    <//>
  `;
}

/** A saved view as it is now, to be changed. */
function ChangeView({ view, onClose, ...others }) {
  const path = `views/${view.id}`;
  const { kept, error, load } = useVersioned(path);
  const save = async (fields) => (await sendVersioned("PATCH", path, fields, kept.version)).data;
  if (!kept) return html`<${Dialog} title="Change a saved view" onClose=${onClose}><${Pending} error=${error} retry=${load} /><//>`;
  return html`<${ViewDialog} key=${kept.version} title="Change a saved view" view=${kept.data} save=${save} onStale=${load} onClose=${onClose} ...${others} />`;
}

/** The name of a saved view, and who sees it. `view` is what is changed, undefined for a new one; `shown` is where one is, as it would be saved. */
function ViewDialog({ title, view, shown, save, onStale, onClose, onDone }) {
  const [name, setName] = useState(view?.name ?? "");
  const [shared, setShared] = useState(view?.shared ?? false);
  const [moved, setMoved] = useState(!view);
  const canMove = view && viewOf(shown.page)?.saved && !isSame(view, shown);
  const { page, query } = moved ? shown : view;
  const opens = [viewOf(page)?.title, ...Object.entries(query).map(([key, value]) => `${key} ${value}`)].join(", ");
  const put = async () => onDone(await save({ name: name.trim(), shared, ...(moved && shown) }));
  return html`
    <${DialogForm} title=${title} verb="Save" save=${put} onClose=${onClose} onStale=${onStale}>
      <${Field} label="Name" value=${name} maxlength=${MAX_NAME} required onText=${setName} />
      <label class="tick"><input type="checkbox" checked=${shared} onChange=${({ target }) => setShared(target.checked)} /> Share it with everybody; each sees in it what they may see anyway</label>
      ${canMove && html`<label class="tick"><input type="checkbox" checked=${moved} onChange=${({ target }) => setMoved(target.checked)} /> Let it open what is shown now</label>`}
      <p class="quiet">${`Opens ${opens}.`}</p>
    <//>
  `;
}
