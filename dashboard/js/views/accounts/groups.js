/** Groups of users: a list with what the calls of each add up to, and the chosen one beside it. For owners, auditors and readers. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { plural } from "../../text/format.js";
import { useOpenRow } from "../../frame/keys.js";
import { AdminTabs } from "../../frame/admin_tabs.js";
import { End } from "../../parts/end.js";
import { TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";
import { NotForYou } from "../../parts/states.js";
import { usePages } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { seesEveryone } from "../../frame/shell.js";
import { Figures, FiguresBar, keptParams, useAllPages, useFigures } from "./figures.js";
import { GroupPane } from "./group.js";
import { sortRows } from "./row_figures.js";

const PAGE = 100;
// A group is used by its members, and nobody notes when.
const SORTED_BY = ["cost", "calls", "tokens", "failed"];
const LINKS = ".rows a.group-row";

export function Groups({ route, user }) {
  if (!seesEveryone(user)) return html`<${NotForYou} what="groups" who="owners, auditors and readers" />`;
  return html`<${List} chosen=${route.id} route=${route} me=${user} />`;
}

function List({ chosen, route, me }) {
  const { params } = route;
  const [adding, setAdding] = useState(false);
  const pages = usePages("groups", {}, "offset", PAGE);
  const figures = useFigures(params, "group");
  const kept = keptParams(params);
  useAllPages(pages, params.sort);
  const rows = sortRows(pages.rows, figures.totals ?? {}, params.sort);
  const close = useOpenRow(LINKS, chosen, href("groups", "", kept));
  const changed = (name) => {
    setAdding(false);
    pages.reload();
    go(href("groups", name, kept));
  };
  return html`
    <${AdminTabs} view="groups" user=${me} />
    <${FiguresBar} route=${route} user=${me} id=${chosen} figures=${figures} sorts=${SORTED_BY} />
    <p class="quiet range-text">${figures.text}</p>
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "group")}</p>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a group</button>`}
    </div>
    ${adding && html`<${AddGroup} onAdded=${({ name }) => changed(name)} onClose=${() => setAdding(false)} />`}
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Groups">
        <ol class="rows">
          ${rows.map((group) => html`<${Row} key=${group.id} group=${group} figures=${figures} params=${params} kept=${kept} chosen=${group.name.toLowerCase() === chosen.toLowerCase() || group.id === chosen} />`)}
        </ol>
        <${End} pages=${pages}><p class="quiet">There are no groups yet. Everybody is in the group everyone.</p><//>
      </section>
      ${chosen && html`<${GroupPane} key=${chosen} name=${chosen} me=${me} onClose=${close} onChanged=${changed} onRemoved=${() => (pages.reload(), go(href("groups", "", kept)))} onMembers=${pages.reload} />`}
    </div>
  `;
}

function Row({ group: { id, name, display_name: shown, members }, figures, params, kept, chosen }) {
  return html`
    <li>
      <a class="group-row" href=${href("groups", name, kept)} data-name=${name} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${shown}</b> ${shown !== name && html`<span class="quiet">${name}</span>`}</span>
        <span class="quiet">${plural(members, "member")}</span>
      </a>
      <${Figures} figures=${figures} id=${id} terms=${{ group: name }} params=${params} />
    </li>
  `;
}

function AddGroup({ onAdded, onClose }) {
  const [name, setName] = useState("");
  const [shown, setShown] = useState("");
  const add = () => send("POST", "groups", { name, display_name: shown }).then(onAdded);
  return html`
    <${DialogForm} title="Add a group" verb="Add" save=${add} onClose=${onClose}>
      <${TextField} label="Name" hint="Letters, digits and . _ + - @; case makes no difference." value=${name} onText=${setName} required autocapitalize="off" />
      <${TextField} label="Display name" hint="If empty, the name is shown." value=${shown} onText=${setShown} />
    <//>
  `;
}
