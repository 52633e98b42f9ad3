/** All policies, and the chosen one beside them. For owners and auditors. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { plural, time } from "../../text/format.js";
import { useOpenRow } from "../../frame/keys.js";
import { AdminTabs } from "../../frame/admin_tabs.js";
import { End } from "../../parts/end.js";
import { ChoiceField, TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";
import { NotForYou } from "../../parts/states.js";
import { usePages } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { seesEverything } from "../../frame/shell.js";
import { PolicyPane } from "./policy.js";

const PAGE = 100;
const LINKS = ".rows a.policy-row";
const EVERYONE = "everyone";
const LEVELS = [
  ["groups", "A group"],
  ["users", "A user"],
  ["tokens", "A token"],
];

export function Policies({ route, user }) {
  if (!seesEverything(user)) return html`<${NotForYou} what="policies" />`;
  return html`<${List} chosen=${route.id} me=${user} />`;
}

/** The readable path of a policy: by the name of its subject. */
function pathOf({ level, name, path }) {
  if (level === EVERYONE) return EVERYONE;
  return name ? `${level}s/${name}` : path;
}

function List({ chosen, me }) {
  const [adding, setAdding] = useState(false);
  const pages = usePages("policies", {}, "offset", PAGE);
  const rows = pages.rows.map((row) => ({ ...row, at: pathOf(row) }));
  const all = rows.some(({ at }) => at === EVERYONE) ? rows : [{ at: EVERYONE, level: EVERYONE, name: "", changed_at: null }, ...rows];
  const close = useOpenRow(LINKS, chosen, href("policies"));
  return html`
    <${AdminTabs} view="policies" user=${me} />
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "policy")}</p>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a policy</button>`}
    </div>
    ${adding && html`<${Whose} onClose=${() => setAdding(false)} />`}
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Policies">
        <ol class="rows">${all.map((row) => html`<${Row} key=${row.at} row=${row} chosen=${row.at === chosen} />`)}</ol>
        <${End} pages=${pages}><p class="quiet">Nobody is restricted by a policy.</p><//>
      </section>
      ${chosen && html`<${PolicyPane} key=${chosen} at=${chosen} me=${me} onClose=${close} onChanged=${pages.reload} />`}
    </div>
  `;
}

function Row({ row, chosen }) {
  const { at, level, name, changed_at: changed, unreadable } = row;
  return html`
    <li>
      <a class="policy-row" href=${href("policies", at)} data-name=${at} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${name || "Everyone"}</b></span>
        <span class="role">${level}</span>
        <span class="quiet">${unreadable ? "cannot be read, has no effect" : changed ? `changed ${time(changed)}` : "no policy"}</span>
      </a>
    </li>
  `;
}

/** The subject of a new policy. */
function Whose({ onClose }) {
  const [level, setLevel] = useState("groups");
  const [name, setName] = useState("");
  const open = () => {
    onClose();
    go(href("policies", `${level}/${name.trim()}`));
  };
  const hint = { groups: "The name of the group.", users: "The username.", tokens: "The part of the token before the hyphen." }[level];
  return html`
    <${DialogForm} title="Add a policy" verb="Go on" save=${open} onClose=${onClose}>
      <${ChoiceField} label="Of" value=${level} options=${LEVELS} onChoose=${setLevel} />
      <${TextField} label="Name" hint=${hint} value=${name} onText=${setName} required autocapitalize="off" />
    <//>
  `;
}
