/** Why calls failed and were refused: a line for each kind of error, which leads to its calls. */

import { html } from "htm/preact";
import { Filters, useSearch } from "../../bar/bar.js";
import { isSearchable, searchFor } from "../../bar/query.js";
import { chosenRange, lengthOf, rangeParams } from "../../bar/range.js";
import { seesEverything } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { End } from "../../parts/list.js";
import { Empty } from "../../parts/states.js";
import { usePages } from "../../server/resource.js";
import { fromTo, plural, whole } from "../../text/format.js";
import { reasonOf, titleOf } from "../../text/vocabulary.js";

const PAGE = 50;
const USUAL = "7d";

export default function Errors({ route, user }) {
  const { params } = route;
  const search = useSearch(params, USUAL);
  const pages = usePages("errors", { q: search, from: EPOCH }, "offset", PAGE, { withProgress: true });
  return html`
    <${Filters} route=${route} user=${user} usual=${USUAL} statuses=${[]} example="words, user:me http:429 -end:client_disconnected" />
    <div class="toolbar flow">
      <p role="status" class="quiet">${saidOf(pages)}</p>
    </div>
    <ol class="rows" aria-label="Errors, the most frequent first">
      ${pages.rows.map((row) => html`<${Row} key=${row.example_id} error=${row} params=${params} mayLook=${seesEverything(user)} />`)}
    </ol>
    <${End} pages=${pages}><${Empty} title="No errors"><p>No call that you may see failed or was refused in this time.</p><//><//>
  `;
}

// Within a shorter time, everything would be new.
const LONG = 6.9 * 86_400_000;
const EPOCH = "1970-01-01T00:00:00Z";

function saidOf({ count, rest }) {
  if (count === null) return "";
  const kinds = `${plural(count, "kind")} of errors, ${plural(rest.calls, "call")}`;
  return rest.is_complete ? kinds : `${kinds}; the rarest are left out`;
}

function Row({ error, params, mayLook }) {
  const { kind, example_id: example, rule, provider, model, status, type, template, message, explanation, calls, users, initiators, first_at: first, last_at: last } = error;
  const where = [mayLook ? "" : provider, mayLook ? "" : model, status, type].filter(Boolean).join(" · ");
  const it = mayLook && provider && html`<a href=${href("providers", provider, { model, ...rangeParams(params, USUAL) })}>${[provider, model].filter(Boolean).join(" · ")}</a>`;
  const others = users - initiators.length;
  const who = [...initiators.map(({ username }) => username), ...(others > 0 ? [`${whole(others)} more`] : [])].join(", ");
  return html`
    <li class="entry refusal">
      <span>
        <a href=${callsOf(error, params)}>${plural(calls, "call")}</a>${error.new && isLong(params) && html` <b class="bad">new</b>`}
      </span>
      <span class="what">
        <b>${rule ? titleOf(rule) : template || type || "No message"}</b> <span class="quiet">${rule ? reasonOf(rule) : explanation}</span>
        ${message && message !== template && html`<small class="quiet">${message}</small>`}
        <small class="quiet">${it}${it && where && " · "}${where}${kind === "call" && html`${(it || where) && " · "}<a href=${href("interceptions", example, sought(error, params))}>the last one</a>`}</small>
      </span>
      <span class="quiet">
        ${who || "unknown users"}<br />
        ${fromTo(first, last)}
      </span>
    </li>
  `;
}

function isLong(params) {
  return lengthOf(chosenRange(params, USUAL)) >= LONG;
}

/** Where the calls of an error are listed. */
function callsOf(error, params) {
  return href(error.kind === "refusal" ? "refusals" : "interceptions", "", sought(error, params));
}

/** The search that finds the calls of an error. */
function sought({ kind, provider, model, status, end_reason: end, type, rule }, params) {
  const range = rangeParams(params, USUAL);
  const known = Object.fromEntries(Object.entries({ model, error: type }).filter(([, value]) => isSearchable(value ?? "")));
  if (kind === "refusal") return { q: searchFor({ rule, provider, status: String(status) }), ...range };
  return { q: searchFor({ status: "failed", provider_name: provider, ...known, http: status ? String(status) : "", end }), ...range };
}
