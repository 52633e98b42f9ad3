/** Work that belongs together: what one client did in one go. */

import { html } from "htm/preact";
import { between, duration, plural, reported, short, time, tokensIn, UNKNOWN, usd, whole } from "../format.js";
import { listKeys, useKeys } from "../keys.js";
import { End } from "../parts/end.js";
import { Empty } from "../parts/states.js";
import { usePages } from "../resource.js";
import { go, href } from "../router.js";
import { lossOf, rateOf } from "../prompt_cache.js";
import { Choice, Filters, useSearch } from "./filters.js";

const PAGE = 50;
const STATUSES = [
  ["failed", "With failed calls"],
  ["completed", "Without failed calls"],
];
const ORDERS = [
  ["last_active", "Last active first"],
  ["cost", "Most cost first"],
  ["lost", "Most lost by the cache first"],
  ["failed", "Most failed calls first"],
  ["calls", "Most calls first"],
];
const LINKS = ".rows a.session";

export function Sessions({ route, user }) {
  const { q = "", since = "", order = "" } = route.params;
  const sought = useSearch(route.params);
  const pages = usePages("sessions", { q: sought, order_by: order || undefined }, "after_session_id", PAGE);
  useKeys({ ...listKeys(LINKS), "/": () => document.getElementById("q").focus() });
  return html`
    <${Filters} q=${q} since=${since} user=${user} statuses=${STATUSES} onSearch=${(text, range) => go(href("sessions", "", { q: text, since: range, order }))} />
    <div class="toolbar">
      <p role="status" class="quiet">${pages.count === null ? "" : plural(pages.count, "session")}${sought ? " found" : ""}</p>
      <${Choice} label="Newest first" value=${order} options=${ORDERS} onChoose=${(value) => go(href("sessions", "", { q, since, order: value }))} />
    </div>
    <ol class="rows sessions">
      ${pages.rows.map((session) => html`<${SessionRow} key=${session.id} session=${session} />`)}
    </ol>
    <${End} pages=${pages}><${Nothing} q=${sought} /><//>
  `;
}

function Nothing({ q }) {
  return q
    ? html`<${Empty} title="Nothing matches"><p>No session that you may see fits this search. <a href=${href("sessions")}>Show all</a></p><//>`
    : html`<${Empty} title="No sessions yet">
        <p>Calls of one client that belong together become a session, a few seconds after they end. <a href=${href("connect")}>Connect a client</a>.</p>
      <//>`;
}

function SessionRow({ session }) {
  const { id, initiator, client, models, started_at: started, last_active_at: last, interceptions, failures, cache } = session;
  const cached = [rateOf(cache), lossOf(cache)].filter(Boolean).join(", ");
  return html`
    <li>
      <a class="session" href=${href("sessions", id)}>
        <span class="title">${session.last_prompt ?? html`<em>no prompt</em>`}</span>
        <span class="meta">${initiator.username} · ${client ?? "unknown client"} · ${models.join(", ")}</span>
        <span class="meta figures-line">
          ${time(started)} · ${duration(between(started, last))} · ${plural(interceptions, "call")}${" "}
          ${failures > 0 && html`<b class="bad">${whole(failures)} failed</b>`}
          ${cached && html`<span class="cached"> · ${cached}</span>`}
        </span>
        <span class="sums">${reported(session.token_usage) ? `${short(tokensIn(session.token_usage))} → ${short(session.token_usage.output_tokens)} tokens` : UNKNOWN}<br />${usd(session.cost_usd)}</span>
      </a>
    </li>
  `;
}
