/** Why calls failed and were refused: a line for each kind of error, which leads to its calls. */

import { html } from "htm/preact";
import { SavedViews } from "../bar/saved_views.js";
import { plural, time, whole } from "../format.js";
import { End } from "../parts/end.js";
import { ListTabs } from "../parts/list_tabs.js";
import { Empty } from "../parts/states.js";
import { isSearchable, searchFor } from "../query.js";
import { titleOf } from "../refusals.js";
import { usePages } from "../resource.js";
import { go, href } from "../router.js";
import { Filters, useSearch } from "./filters.js";

const PAGE = 50;
const USUAL = "7d";

export function Errors({ route, user }) {
  const { q = "", since = "" } = route.params;
  const sought = useSearch({ q, since: since || USUAL });
  const pages = usePages("errors", { q: sought, from: EPOCH }, "offset", PAGE);
  const search = (text, range) => go(href("errors", "", { q: text, since: range }));
  return html`
    <${ListTabs} view="errors" since=${since} />
    <${Filters} q=${q} since=${since} user=${user} onSearch=${search} statuses=${[]} example="initiator:me http:429 -end:client_disconnected" />
    <div class="toolbar">
      <p role="status" class="quiet">${saidOf(pages)}</p>
      <${SavedViews} user=${user} />
    </div>
    <ol class="rows" aria-label="Errors, the most frequent first">
      ${pages.rows.map((row) => html`<${Row} key=${row.example_id} error=${row} since=${since || USUAL} />`)}
    </ol>
    <${End} pages=${pages}><${Empty} title="No errors"><p>No call that you may see failed or was refused in this time.</p><//><//>
  `;
}

// Within a day, everything would be new.
const LONG = ["7d", "30d"];
const EPOCH = "1970-01-01T00:00:00Z";

function saidOf({ count, rest }) {
  if (count === null) return "";
  const kinds = `${plural(count, "kind")} of errors, ${plural(rest.calls, "call")}`;
  return rest.is_complete ? kinds : `${kinds}; the rarest are left out`;
}

function Row({ error, since }) {
  const { rule, provider, model, status, type, template, message, explanation, calls, users, initiators, first_at: first, last_at: last } = error;
  const where = [provider, model, status, type].filter(Boolean).join(" · ");
  const others = users - initiators.length;
  const who = [...initiators.map(({ username }) => username), ...(others > 0 ? [`${whole(others)} more`] : [])].join(", ");
  return html`
    <li class="entry refusal">
      <span>
        <a href=${callsOf(error, since)}>${plural(calls, "call")}</a>${error.new && LONG.includes(since) && html` <b class="bad">new</b>`}
      </span>
      <span class="what">
        <b>${rule ? titleOf(rule) : template || type || "No message"}</b> <span class="quiet">${explanation}</span>
        ${message && message !== template && html`<small class="quiet">${message}</small>`}
        <small class="quiet">${where}</small>
      </span>
      <span class="quiet">
        ${who || "unknown users"}<br />
        ${first === last ? time(last) : `${time(first)} to ${time(last)}`}
      </span>
    </li>
  `;
}

/** Where the calls of an error are listed. */
function callsOf({ kind, provider, model, status, end_reason: end, type, rule }, since) {
  const known = Object.fromEntries(Object.entries({ model, error: type }).filter(([, value]) => isSearchable(value ?? "")));
  if (kind === "refusal") return href("refusals", "", { q: searchFor({ rule, provider, status: String(status) }), since });
  return href("interceptions", "", { q: searchFor({ status: "failed", provider_name: provider, ...known, http: status ? String(status) : "", end }), since });
}
