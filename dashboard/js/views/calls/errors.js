/** Why calls failed and were refused: a line for each kind of error, which leads to its calls. */

import { html } from "htm/preact";
import { Filters, useSearch } from "../../bar/bar.js";
import { isSearchable, searchFor } from "../../bar/query.js";
import { chosenRange, lengthOf, rangeParams } from "../../bar/range.js";
import { seesEverything } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { End, Toolbar } from "../../parts/list.js";
import { Empty } from "../../parts/states.js";
import { usePages } from "../../server/resource.js";
import { ago, plural, time, whole } from "../../text/format.js";
import { endTitle, reasonOf, titleOf } from "../../text/vocabulary.js";

const PAGE = 50;
const USUAL = "7d";

export default function Errors({ route, user }) {
  const { params } = route;
  const search = useSearch(params, USUAL);
  const pages = usePages("errors", { q: search, from: EPOCH }, "offset", PAGE);
  return html`
    <${Filters} route=${route} user=${user} usual=${USUAL} choices=${[]} example="words, user:me http:429 model:gpt-5.5" />
    <${Toolbar} says=${saidOf(pages)} />
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
  const { kind, example_id: example, rule, end_reason: end, provider, model, status, type, template, message, explanation, calls, users, initiators, first_at: first, last_at: last } = error;
  const where = [provider, model].filter(Boolean).join(" · ");
  const others = users - initiators.length;
  const who = [...initiators.map(({ username }) => username), ...(others > 0 ? [`${whole(others)} more`] : [])].join(", ");
  const title = rule ? titleOf(rule) : template || type || endTitle(end);
  return html`
    <li class="entry error">
      <span>
        <a href=${callsOf(error, params)}>${plural(calls, "call")}</a>${error.new && isLong(params) && html` <b class="bad">new</b>`}
      </span>
      <span class="what" title=${message || explanation}><b>${title}</b> <span class="quiet">${rule ? reasonOf(rule) : explanation}</span></span>
      <span class="where">${mayLook && provider ? html`<a href=${href("providers", provider, { model, ...rangeParams(params, USUAL) })}>${where}</a>` : where} <span class="quiet">${status}</span></span>
      <span class="quiet" title=${who}>${users ? plural(users, "user") : "unknown user"}</span>
      <span class="quiet number" title=${`${time(first)} to ${time(last)}`}>${kind === "call" ? html`<a href=${href("interceptions", example, sought(error, params))}>${ago(last)}</a>` : ago(last)}</span>
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
