/** Groups of users: a list with what the calls of each add up to, and the chosen one beside it, with its members. */

import { html } from "htm/preact";
import { seesEverything } from "../../frame/registry.js";
import { go, href } from "../../frame/router.js";
import { Addition, ChangeForm, LineForm, Removal } from "../../parts/forms.js";
import { End, List, Pane } from "../../parts/list.js";
import { Failure, Pending } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange, usePages, useResource } from "../../server/resource.js";
import { plural, time } from "../../text/format.js";
import { FIGURE_COLUMNS, FIGURE_HEADS, FigureCells, FiguresBar, keptParams, useAllPages, useBudgets, useFigures, useWords } from "./figures.js";
import { sortRows } from "./row_figures.js";

const PAGE = 100;
// A group is used by its members, and nobody notes when.
const SORTED_BY = ["cost", "calls", "tokens", "failed"];
const COLUMNS = `minmax(0, 1fr) 110px ${FIGURE_COLUMNS}`;
const HEADS = html`<span>Group</span><span>Members</span>${FIGURE_HEADS}`;
const NAME = { name: "name", label: "Name", required: true, autocapitalize: "off" };
const FIELDS = [NAME, { name: "display_name", label: "Display name", hint: "If empty, the name is shown." }];
const MEMBER = [{ name: "username", label: "Username", required: true, autocapitalize: "off" }];
const FIELDS_OF_NEW = [{ ...NAME, hint: "Letters, digits and . _ + - @; case makes no difference." }, FIELDS[1]];

export default function Groups({ route: { id: chosen, params }, route, user: me }) {
  const pages = usePages("groups", {}, "offset", PAGE);
  const figures = useFigures(params, "group");
  const budgets = useBudgets("group");
  const kept = keptParams(params);
  const { has, field, isOn } = useWords("Find a group");
  useAllPages(pages, params.sort || isOn);
  const found = pages.rows.filter(({ name, display_name: shown }) => has(name, shown));
  const rows = sortRows(found, figures.totals ?? {}, params.sort);
  const show = (name = "") => {
    pages.reload();
    go(href("groups", name, kept));
  };
  const rowOf = ({ id: key, name, display_name: shown, members }) => ({
    id: name,
    key,
    cells: html`
      <span><b>${shown}</b> ${shown !== name && html`<span class="quiet">${name}</span>`}</span>
      <span class="quiet">${plural(members, "member")}</span>
      <${FigureCells} totals=${figures.totals} id=${key} budget=${budgets[name]} />
    `,
  });
  const pane = (close) => html`<${GroupPane} key=${chosen} name=${chosen} me=${me} onClose=${close} onChanged=${show} onMembers=${pages.reload} />`;
  return html`
    <${FiguresBar} route=${route} user=${me} id=${chosen} figures=${figures} sorts=${SORTED_BY} field=${field} count=${pages.count !== null && plural(pages.count, "group")}>
      ${me.role === "owner" && html`<${Addition} what="a group" path="groups" fields=${FIELDS_OF_NEW} onAdded=${({ name }) => show(name)} />`}
    <//>
    <${List} view="groups" label="Groups" columns=${COLUMNS} heads=${HEADS} rows=${rows} rowOf=${rowOf} chosen=${chosen} kept=${kept} pane=${pane}>
      <${End} pages=${pages}><p class="quiet">There are no groups yet. Everybody is in the group everyone.</p><//>
    <//>
  `;
}

/** `onChanged` gets the name that the group has now, nothing where it was removed. */
function GroupPane({ name, me, onClose, onChanged, onMembers }) {
  const path = `groups/${encodeURIComponent(name)}`;
  const { data: group, setData, error, reload } = useResource(path);
  const isOwner = me.role === "owner";
  const remove = () => send("DELETE", path, undefined, group).then(() => onChanged());
  const save = async (change) => {
    const next = await send("PATCH", path, change, group);
    setData(next);
    onChanged(next.name);
  };
  const counted = () => {
    reload();
    onMembers();
  };
  return html`
    <${Pane} label="Group" title=${group?.display_name ?? name} onClose=${onClose}>
      <${Pending} data=${group} error=${error} retry=${reload} />
      ${
        group &&
        html`
          <p class="quiet">
            ${group.name}, added ${time(group.created_at)}, ${plural(group.members, "member")}.
            ${seesEverything(me) && html` <a href=${href("policies", `groups/${group.name}`)}>Policy</a>`}
          </p>
          ${isOwner && html`<${ChangeForm} fields=${FIELDS} initial=${{ name: group.name, display_name: group.display_name }} save=${save} />`}
          <section><h3>Members</h3><${Members} path=${path} mayChange=${isOwner} onChanged=${counted} /></section>
          ${
            isOwner &&
            html`
              <${Removal} what="this group" title=${`Remove ${group.name}?`} remove=${remove}>
                <p>Its members stay users, and its service tokens stop working. A group with a policy cannot be removed. This cannot be undone.</p>
              <//>
            `
          }
        `
      }
    <//>
  `;
}

function Members({ path, mayChange, onChanged }) {
  const pages = usePages(`${path}/members`, {}, "offset", PAGE);
  const { busy, error, run } = useChange();
  const changed = () => {
    pages.reload();
    onChanged();
  };
  const put = (method, username) => send(method, `${path}/members/${encodeURIComponent(username)}`).then(changed);
  return html`
    <div class="token-list">
      ${mayChange && html`<${LineForm} fields=${MEMBER} verb="Add a member" act=${({ username }) => put("PUT", username.trim())} />`}
      ${error && html`<${Failure} error=${error} />`}
      <ul class="rows" aria-label="Members">
        ${pages.rows.map(
          ({ id, username, name: shown, role }) => html`
            <li key=${id} class="token">
              <b><a href=${href("users", username)}>${shown}</a></b>
              <span class="quiet">${username !== shown && `${username}, `}${role}</span>
              ${mayChange && html`<button type="button" disabled=${busy} aria-label=${`Take out ${username}`} onClick=${() => run(() => put("DELETE", username))}>Take out</button>`}
            </li>
          `,
        )}
      </ul>
      <${End} pages=${pages}><p class="quiet">Nobody is in it yet.</p><//>
    </div>
  `;
}
