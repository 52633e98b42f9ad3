/** Addresses of the page under names, one's own and those that others share: a menu of them, and a button that saves one more. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { send } from "../server/api.js";
import { Confirm } from "../parts/dialog.js";
import { Pending } from "../parts/states.js";
import { useResource } from "../server/resource.js";
import { addressOf, inMenu, isSame, PAGES, savedOf } from "./addresses.js";
import { ViewDialog } from "./view_dialog.js";

const MAX_VIEWS = 1000;

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
    <div class="saved">
      <${Menu} open=${open} onOpen=${setOpen}>
        <${Pending} data=${list.data} error=${list.error} retry=${list.reload} />
        ${list.data?.results.length === 0 && html`<p class="quiet">No view is saved yet. “Save view” keeps what is shown under a name.</p>`}
        ${list.data?.results.length > 0 && html`<ul>${inMenu(list.data.results, shown.page).map((view) => html`<${Line} key=${view.id} view=${view} user=${user} shown=${shown} onDialog=${openDialog} onChosen=${() => setOpen(false)} />`)}</ul>`}
      <//>
      <button type="button" onClick=${() => openDialog("save")}>Save view</button>
      <span class="done" role="status">${message}</span>
      ${dialog?.what === "save" && html`<${ViewDialog} shown=${shown} onClose=${close} onDone=${({ name }) => done(`Saved as “${name}”.`)} />`}
      ${dialog?.what === "change" && html`<${ViewDialog} view=${dialog.view} shown=${shown} onClose=${close} onDone=${({ name }) => done(`Changed “${name}”.`)} />`}
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
    <div class="menu" ref=${box} onKeyDown=${press}>
      <button type="button" aria-expanded=${open} aria-controls="saved-views" onClick=${() => onOpen(!open)}>Saved views</button>
      <section id="saved-views" class="menu-list" aria-label="Saved views" hidden=${!open}>${open && children}</section>
    </div>
  `;
}

function Line({ view, user, shown, onDialog, onChosen }) {
  const { name, page, shared, owner } = view;
  const isMine = owner.id === user.id;
  const about = [PAGES[page], shared && (isMine ? "shared" : `shared by ${owner.username}`)].filter(Boolean).join(", ");
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
