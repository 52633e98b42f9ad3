/** Users: a list, and the chosen one beside it. For owners, auditors and readers. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { day, plural } from "../../text/format.js";
import { useOpenRow } from "../../frame/keys.js";
import { AdminTabs } from "../../frame/admin_tabs.js";
import { End } from "../../parts/end.js";
import { NotForYou } from "../../parts/states.js";
import { usePages } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { seesEverything, seesEveryone } from "../../frame/shell.js";
import { AddUser } from "./add_user.js";
import { Figures, FiguresBar, keptParams, useAllPages, useFigures } from "./figures.js";
import { sortRows } from "./row_figures.js";
import { UserPane } from "./user.js";

const PAGE = 100;
const LINKS = ".rows a.user-row";

export function Users({ route, user, onMyself }) {
  if (!seesEveryone(user)) return html`<${NotForYou} what="users" who="owners, auditors and readers" />`;
  return html`<${List} chosen=${route.id === "me" ? user.username : route.id} route=${route} me=${user} onMyself=${onMyself} />`;
}

function List({ chosen, route, me, onMyself }) {
  const [adding, setAdding] = useState(false);
  const pages = usePages("users", {}, "offset", PAGE);
  const { params } = route;
  const figures = useFigures(params, "user");
  const kept = keptParams(params);
  useAllPages(pages, params.sort);
  const rows = sortRows(pages.rows, figures.totals ?? {}, params.sort, ({ last_seen_at: seen }) => seen);
  const close = useOpenRow(LINKS, chosen, href("users", "", kept));
  const added = ({ username }) => {
    setAdding(false);
    pages.reload();
    go(href("users", username, kept));
  };
  const removed = () => {
    go(href("users", "", kept));
    pages.reload();
  };
  return html`
    <${AdminTabs} view="users" user=${me} />
    <${FiguresBar} route=${route} user=${me} id=${chosen} figures=${figures} />
    <p class="quiet range-text">${figures.text}</p>
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "user")}</p>
      ${seesEverything(me) && html`<a href=${href("audit")}>Audit trail</a>`}
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a user</button>`}
    </div>
    ${adding && html`<${AddUser} onAdded=${added} onClose=${() => setAdding(false)} />`}
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Users">
        <ol class="rows">
          ${rows.map((user) => html`<${Row} key=${user.id} user=${user} chosen=${[user.username.toLowerCase(), user.id].includes(chosen.toLowerCase())} figures=${figures} params=${params} kept=${kept} />`)}
        </ol>
        <${End} pages=${pages} />
      </section>
      ${chosen && html`<${UserPane} key=${chosen} of=${chosen} me=${me} params=${params} onClose=${close} onChanged=${pages.reload} onRemoved=${removed} onMyself=${onMyself} />`}
    </div>
  `;
}

function Row({ user, chosen, figures, params, kept }) {
  const { id, username, name, role, active_tokens: tokens, created_at: created, last_seen_at: seen } = user;
  return html`
    <li>
      <a class="user-row" href=${href("users", username, kept)} data-name=${username} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${name}</b> ${name !== username && html`<span class="quiet">${username}</span>`}</span>
        <span class="role">${role}</span>
        <span class="tokens">${tokens ? plural(tokens, "token") : "no token"}</span>
        <span class="since">since ${day(new Date(created))}</span>
      </a>
      <${Figures} figures=${figures} id=${id} terms=${{ user: username }} used=${seen} params=${params} />
    </li>
  `;
}
