/** Users: a list with what the calls of each add up to, and the chosen one beside it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { NewOne } from "../../parts/forms.js";
import { End, List } from "../../parts/list.js";
import { send } from "../../server/api.js";
import { usePages } from "../../server/resource.js";
import { day, plural } from "../../text/format.js";
import { roles } from "../../text/vocabulary.js";
import { Figures, FiguresBar, keptParams, useAllPages, useFigures } from "./figures.js";
import { sortRows } from "./row_figures.js";
import { DISPLAY_NAME, UserPane } from "./user.js";

const PAGE = 100;
const COLUMNS = "minmax(0, 1fr) 80px 90px 140px";

export default function Users({ route: { id, params }, route, user: me, onMyself }) {
  const chosen = id === "me" ? me.username : id;
  const [adding, setAdding] = useState(false);
  const pages = usePages("users", {}, "offset", PAGE);
  const figures = useFigures(params, "user");
  const kept = keptParams(params);
  useAllPages(pages, params.sort);
  const rows = sortRows(pages.rows, figures.totals ?? {}, params.sort, ({ last_seen_at: seen }) => seen);
  const show = (name = "") => {
    setAdding(false);
    pages.reload();
    go(href("users", name, kept));
  };
  const rowOf = ({ id: key, username, name, role, active_tokens: tokens, created_at: created, last_seen_at: seen }) => ({
    id: username,
    key,
    cells: html`
      <span><b>${name}</b> ${name !== username && html`<span class="quiet">${username}</span>`}</span>
      <span><span class="role">${role}</span></span>
      <span class="quiet">${tokens ? plural(tokens, "token") : "no token"}</span>
      <span class="quiet">since ${day(new Date(created))}</span>
    `,
    below: html`<${Figures} figures=${figures} id=${key} terms=${{ user: username }} used=${seen} params=${params} />`,
  });
  const pane = (close) =>
    html`<${UserPane} key=${chosen} of=${chosen} me=${me} params=${params} onClose=${close} onChanged=${pages.reload} onRemoved=${() => show()} onMyself=${onMyself} />`;
  return html`
    <${FiguresBar} route=${route} user=${me} id=${chosen} figures=${figures} />
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "user")}</p>
      ${seesEverything(me) && html`<a href=${href("audit")}>Audit trail</a>`}
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a user</button>`}
    </div>
    ${adding && html`<${AddUser} onAdded=${({ username }) => show(username)} onClose=${() => setAdding(false)} />`}
    <${List} view="users" label="Users" columns=${COLUMNS} rows=${rows} rowOf=${rowOf} chosen=${chosen} isChosen=${({ id: name, key }) => [name.toLowerCase(), key].includes(chosen.toLowerCase())} kept=${kept} pane=${pane}>
      <${End} pages=${pages} />
    <//>
  `;
}

function AddUser({ onAdded, onClose }) {
  const fields = [
    { name: "username", label: "Username", hint: "A mail address, or letters, digits and . _ + - @; case makes no difference.", required: true, autocapitalize: "off" },
    DISPLAY_NAME,
    { name: "role", label: "Role", options: roles() },
  ];
  return html`<${NewOne} title="Add a user" fields=${fields} initial=${{ role: "member" }} add=${(given) => send("POST", "users", given).then(onAdded)} onClose=${onClose} />`;
}
