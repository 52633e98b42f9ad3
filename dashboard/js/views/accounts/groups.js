/** Groups of users: a list with what each spent this month, and the chosen one beside it. For owners, auditors and readers. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { plural, usd } from "../../text/format.js";
import { listKeys, useKeys } from "../../frame/keys.js";
import { AdminTabs } from "../../frame/admin_tabs.js";
import { Dialog } from "../../parts/dialog.js";
import { End } from "../../parts/end.js";
import { TextField } from "../../parts/field.js";
import { Failure, NotForYou } from "../../parts/states.js";
import { useChange, usePages, useResource } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { seesEveryone } from "../../frame/shell.js";
import { GroupPane } from "./group.js";

const PAGE = 100;
// More groups than that are shown without what they spent.
const MAX_GROUPS = 1000;
const LINKS = ".rows a.group-row";

export function Groups({ route, user }) {
  if (!seesEveryone(user)) return html`<${NotForYou} what="groups" who="owners, auditors and readers" />`;
  return html`<${List} chosen=${route.id} me=${user} />`;
}

/** The first moment of this month in UTC, as the API has times. */
function monthStart(now = new Date()) {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth())).toISOString();
}

function List({ chosen, me }) {
  const [adding, setAdding] = useState(false);
  const pages = usePages("groups", {}, "offset", PAGE);
  const stats = useResource("stats", { from: monthStart(), bucket: "all", group_by: "group", order_by: "cost", limit: MAX_GROUPS });
  const spent = Object.fromEntries((stats.data?.groups ?? []).map(({ group, total }) => [group.group.id, total.cost_usd]));
  const close = () => {
    go(href("groups"));
    requestAnimationFrame(() => document.querySelector(`${LINKS}[data-name="${CSS.escape(chosen)}"]`)?.focus());
  };
  const changed = (name) => {
    setAdding(false);
    pages.reload();
    go(href("groups", name));
  };
  useKeys({ ...listKeys(LINKS), ...(chosen ? { Escape: close } : {}) });
  return html`
    <${AdminTabs} view="groups" user=${me} />
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "group")}; spent this month</p>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a group</button>`}
    </div>
    ${adding && html`<${AddGroup} onAdded=${({ name }) => changed(name)} onClose=${() => setAdding(false)} />`}
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Groups">
        <ol class="rows">
          ${pages.rows.map((group) => html`<${Row} key=${group.id} group=${group} spent=${spent[group.id]} chosen=${group.name.toLowerCase() === chosen.toLowerCase() || group.id === chosen} />`)}
        </ol>
        <${End} pages=${pages}><p class="quiet">There are no groups yet. Everybody is in the group everyone.</p><//>
      </section>
      ${chosen && html`<${GroupPane} key=${chosen} name=${chosen} spent=${spent} me=${me} onClose=${close} onChanged=${changed} onRemoved=${() => (pages.reload(), go(href("groups")))} onMembers=${pages.reload} />`}
    </div>
  `;
}

function Row({ group: { name, display_name: shown, members }, spent, chosen }) {
  return html`
    <li>
      <a class="group-row" href=${href("groups", name)} data-name=${name} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${shown}</b> ${shown !== name && html`<span class="quiet">${name}</span>`}</span>
        <span class="quiet">${plural(members, "member")}</span>
        <span>${spent === undefined ? "" : usd(spent)}</span>
      </a>
    </li>
  `;
}

function AddGroup({ onAdded, onClose }) {
  const [name, setName] = useState("");
  const [shown, setShown] = useState("");
  const { busy, error, run } = useChange();
  const submit = (event) => {
    event.preventDefault();
    run(() => send("POST", "groups", { name, display_name: shown }).then(onAdded));
  };
  return html`
    <${Dialog} title="Add a group" onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <${TextField} label="Name" hint="Letters, digits and . _ + - @; case makes no difference." value=${name} onText=${setName} required autocapitalize="off" />
        <${TextField} label="Display name" hint="If empty, the name is shown." value=${shown} onText=${setShown} />
        ${error && html`<${Failure} error=${error} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy}>Add</button>
        </div>
      </form>
    <//>
  `;
}
