/** Every call that the user may see: a list on the left, the chosen one beside it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Filters, useSearch } from "../../bar/filters.js";
import { valueOf, withTerm } from "../../bar/query.js";
import { IN_DEMO } from "../../frame/demo.js";
import { useOpenRow } from "../../frame/keys.js";
import { go, href } from "../../frame/router.js";
import { End } from "../../parts/list.js";
import { Empty } from "../../parts/states.js";
import { address } from "../../server/api.js";
import { useLive } from "../../server/live.js";
import { usePages } from "../../server/resource.js";
import { plural } from "../../text/format.js";
import { Detail } from "./detail.js";
import { Row, RowHead } from "./row.js";

const PAGE = 50;
const LINKS = ".rows a.row";
const LIVE = { off: "", connecting: "Connecting …", live: "Live", lost: "Interrupted, trying again." };

export default function Interceptions({ route, user }) {
  const kept = href("interceptions", "", route.params).split("?")[1] ?? "";
  const sought = useSearch(route.params);
  const [tail, setTail] = useState(false);
  const pages = usePages("interceptions", { q: sought }, "after_id", PAGE);
  // A search for what is in flight hears of no end: without the status it does, also of calls that are not listed.
  const isOfRunning = valueOf(sought, "status") === "in_flight";
  const merge = (row) => pages.merge(row, !(isOfRunning && row.ended_at));
  const live = useLive(tail, isOfRunning ? withTerm(sought, "status", "") : sought, merge, pages.reload);
  const close = useOpenRow(LINKS, route.id, href("interceptions", "", route.params));
  return html`
    <${Filters} route=${route} user=${user} />
    <div class="toolbar flow">
      <p role="status" class="quiet">${countOf(pages, sought)}</p>
      <p class="tail ${live.state}" role="status">${LIVE[live.state]} ${live.state === "lost" && live.reason}</p>
      ${!IN_DEMO && html`<button type="button" aria-pressed=${tail} onClick=${() => setTail(!tail)}>Live tail</button>`}
      <${Export} q=${sought} />
    </div>
    <div class="split" data-open=${route.id ? "" : undefined}>
      <section class="list" aria-label="Calls">
        <${RowHead} />
        <ol class="rows">
          ${pages.rows.map((row) => html`<${Row} key=${row.id} interception=${row} search=${kept} chosen=${row.id === route.id} />`)}
        </ol>
        <${End} pages=${pages}><${Nothing} q=${sought} /><//>
      </section>
      ${route.id && html`<${Detail} key=${route.id} id=${route.id} fresh=${pages.rows.find(({ id }) => id === route.id)} onClose=${close} />`}
    </div>
  `;
}

/** How many calls there are, and what that leaves out. */
function countOf({ count, rest: { count_is_exact: isExact } }, sought) {
  if (count === null) return "";
  return `${isExact === false ? "at most " : ""}${plural(count, "call")}${sought ? " found" : ""}`;
}

function Nothing({ q }) {
  if (q) {
    return html`
      <${Empty} title="Nothing matches">
        <p>No call that you may see fits this search. Calls under way are found with <code>status:in_flight</code>.</p>
        <button type="button" onClick=${() => go(href("interceptions"))}>Show all</button>
      <//>
    `;
  }
  return html`
    <${Empty} title="No calls yet">
      <p>Every call that goes through the bridge appears here. <a href=${href("connect")}>Connect a client</a> and make one.</p>
    <//>
  `;
}

function Export({ q }) {
  const link = (format) => address("interceptions/export", { format, q }).href;
  return html`
    <span class="export"><span class="quiet">Export</span> <a href=${link("csv")} download>CSV</a> <a href=${link("ndjson")} download>NDJSON</a></span>
  `;
}
