/** Addresses of the page under names, one's own and those that others share: a menu of them, which saves one more, too. */

import { html } from "htm/preact";
import { useRef, useState } from "preact/hooks";
import { viewOf } from "../frame/registry.js";
import { Confirm, NewOne } from "../parts/forms.js";
import { Pending } from "../parts/states.js";
import { send } from "../server/api.js";
import { useResource } from "../server/resource.js";
import { addressOf, isSame, savedOf } from "./addresses.js";

const MAX_VIEWS = 1000;
const MAX_NAME = 80;
const SAVE = "save";
const SHARED = [
  ["", "Only you"],
  ["shared", "Everybody; each sees in it what they may see anyway"],
];

/** The menu; it closes by Esc, or when one clicks elsewhere. */
export function SavedViews({ route, user }) {
  const shown = savedOf(route);
  const menu = useRef(null);
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState(null); // the view to be removed, or `SAVE`
  const [message, setMessage] = useState("");
  const list = useResource(open ? "views" : null, { limit: MAX_VIEWS });
  const show = (next) => {
    menu.current.hidePopover();
    setDialog(next);
  };
  const done = (text) => {
    setDialog(null);
    setMessage(text);
  };
  const close = () => setDialog(null);
  const lines = () => list.data.results.map((view) => html`<${Line} key=${view.id} view=${view} user=${user} shown=${shown} show=${show} />`);
  return html`
    <div class="saved">
      <button type="button" class="plain" popovertarget="saved-views" aria-label="Saved views" title="Saved views"><span aria-hidden="true">☆</span></button>
      <section id="saved-views" class="menu" popover="auto" aria-label="Saved views" ref=${menu} onToggle=${({ newState }) => setOpen(newState === "open")}>
        ${viewOf(route.view)?.saved && html`<button type="button" class="plain" onClick=${() => show(SAVE)}>Save what is shown</button>`}
        ${open && html`<${Pending} data=${list.data} error=${list.error} retry=${list.reload} />`}
        ${list.data && (list.data.results.length ? html`<ul>${lines()}</ul>` : html`<p class="quiet">No view is saved yet.</p>`)}
      </section>
      <span class="done" role="status">${message}</span>
      ${dialog === SAVE && html`<${SaveView} shown=${shown} onClose=${close} onDone=${({ name }) => done(`Saved as “${name}”.`)} />`}
      ${dialog && dialog !== SAVE && html`<${Removal} view=${dialog} onClose=${close} onDone=${() => done(`Removed “${dialog.name}”.`)} />`}
    </div>
  `;
}

function Line({ view, user, shown, show }) {
  const { name, page, shared, owner } = view;
  const isMine = owner.id === user.id;
  const about = [viewOf(page)?.title, shared && (isMine ? "shared" : `shared by ${owner.username}`)].filter(Boolean).join(", ");
  const mayRemove = isMine || user.role === "owner";
  return html`
    <li>
      <a href=${addressOf(view)} aria-current=${isSame(view, shown) ? "page" : undefined} onClick=${() => show(null)}>${name}<small class="quiet">${about}</small></a>
      ${mayRemove && html`<button type="button" class="plain" aria-label=${`Remove ${name}`} onClick=${() => show(view)}>Remove</button>`}
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

/** The name of what is shown, and who sees it. `shown` is where one is, as it would be saved. */
function SaveView({ shown, onClose, onDone }) {
  const opens = [viewOf(shown.page).title, ...Object.entries(shown.query).map(([key, value]) => `${key} ${value}`)].join(", ");
  const fields = [
    { name: "name", label: "Name", hint: `Opens ${opens}.`, maxlength: MAX_NAME, required: true },
    { name: "shared", label: "Who finds it", options: SHARED, read: Boolean },
  ];
  return html`<${NewOne} title="Save view" verb="Save" fields=${fields} add=${(given) => send("POST", "views", { shared: false, ...given, ...shown }).then(onDone)} onClose=${onClose} />`;
}
