/** Work that belongs together: what one client did in one go. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Choice, chooser, Filters, useSearch } from "../../bar/bar.js";
import { href } from "../../frame/router.js";
import { End, List, Nothing, Toolbar } from "../../parts/list.js";
import { address } from "../../server/api.js";
import { usePages } from "../../server/resource.js";
import { between, duration, plural, time, usd, whole } from "../../text/format.js";
import { lossOf, shareOf } from "../../text/prompt_cache.js";
import { Session } from "./session.js";

const PAGE = 50;
const LIVE_MS = 5000;
const STATUSES = [["failed", "With failed calls"], ["completed", "Without failed calls"]];
const CHOICES = [["Status", "status", STATUSES]];
const ORDERS = [
  ["last_active", "Last active first"],
  ["cost", "Most cost first"],
  ["lost", "Most lost by the cache first"],
  ["failed", "Most failed calls first"],
  ["calls", "Most calls first"],
];
const HEADS = html`
  <span class="title">First prompt</span><span class="user">User</span><span class="client">Client</span><span class="at">Started</span>
  <span class="number">Calls</span><span class="number failed">Failed</span><span class="cached">Cache</span><span class="number">Cost</span>
`;

/** One session where the address names it, else the list of them. */
export default function Sessions(properties) {
  const { id } = properties.route;
  return id ? html`<${Session} id=${id} />` : html`<${SessionList} ...${properties} />`;
}

function SessionList({ route, user }) {
  const { order = "" } = route.params;
  const sought = useSearch(route.params);
  const query = { q: sought, order_by: order || undefined };
  const [live, setLive] = useState(false);
  const pages = usePages("sessions", query, "after_session_id", PAGE, { every: live ? LIVE_MS : 0 });
  const show = chooser(route);
  return html`
    <${Filters} route=${route} user=${user} choices=${CHOICES} />
    <${Toolbar} says=${`${pages.count === null ? "" : plural(pages.count, "session")}${sought ? " found" : ""}`}>
      <${Choice} label="Newest first" value=${order} options=${ORDERS} onChoose=${(value) => show({ order: value })} />
      <button type="button" aria-pressed=${live} onClick=${() => setLive(!live)}>Live</button>
      <a href=${address("sessions/export", query).href} download>CSV</a>
    <//>
    <${List} view="sessions" label="Sessions" kind="session" heads=${HEADS} rows=${pages.rows} rowOf=${rowOf}>
      <${End} pages=${pages}>
        <${Nothing} isNarrowed=${sought} view="sessions" none="No session that you may see fits this search." title="No sessions yet">
          <p>Calls of one client that belong together, two or more, become a session, a second after they end. <a href=${href("connect")}>Connect a client</a>.</p>
        <//>
      <//>
    <//>
  `;
}

function rowOf(session) {
  const { id, initiator, client, started_at: started, last_active_at: last, interceptions, failures, cache } = session;
  const cached = [shareOf(cache), lossOf(cache)].filter(Boolean).join(", ");
  return {
    id,
    cells: html`
      <span class="title">${session.first_prompt ?? session.last_prompt ?? html`<em class="quiet">no prompt</em>`}</span>
      <span class="user">${initiator.username}</span>
      <span class="client quiet">${client ?? "unknown client"}</span>
      <span class="at quiet">${time(started)} · ${duration(between(started, last))}</span>
      <span class="number">${whole(interceptions)}<span class="said"> ${interceptions === 1 ? "call" : "calls"}</span></span>
      <span class="number failed">${failures > 0 && html`<b class="bad">${whole(failures)}<span class="said"> failed</span></b>`}</span>
      <span class="cached quiet">${cached && html`<span class="said">cache </span>`}${cached}</span>
      <span class="number">${usd(session.cost_usd)}</span>
    `,
  };
}
