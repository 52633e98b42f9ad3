/** Every call that the user may see: a list on the left, the chosen one beside it. */

import { html } from "htm/preact";
import { useMemo, useState } from "preact/hooks";
import { Filters, useSearch } from "../../bar/bar.js";
import { valueOf, withTerm } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { costOf, Status, usageOf, UsageShort } from "../../parts/figures.js";
import { End, List, Nothing, Toolbar } from "../../parts/list.js";
import { address } from "../../server/api.js";
import { usePages, useResource } from "../../server/resource.js";
import { between, duration, plural, time, UNKNOWN, usd } from "../../text/format.js";
import { problemOf } from "../../text/vocabulary.js";
import { Detail, What } from "./detail.js";

const PAGE = 50;
const LIVE_MS = 3000;
const NONE = html`No call that you may see fits this search. Calls under way are found with <code>status:in_flight</code>.`;
const NO_CALLS = html`<p>Every call that goes through the bridge appears here. <a href=${href("connect")}>Connect a client</a> and make one.</p>`;

const HEADS = html`
  <span class="at">Time</span><span class="user">User</span><span class="model">Model</span>
  <span class="prompt">Prompt</span><span class="client">Client</span><span class="usage number">Tokens</span>
  <span class="cost number">Cost</span><span class="took number">Took</span><span class="state">State</span>
`;

export default function Interceptions({ route: { id: chosen, params }, route, user }) {
  const sought = useSearch(params);
  const [live, setLive] = useState(false);
  const every = live ? LIVE_MS : 0;
  const pages = usePages("interceptions", { q: sought }, "after_id", PAGE, { every });
  // A search without a status finds what has ended.
  const running = useResource(live && !valueOf(sought, "status") ? "interceptions" : null, { q: withTerm(sought, "status", "in_flight"), limit: PAGE }, { every });
  const rows = live ? [...(running.data?.results ?? []).filter(({ id }) => !pages.rows.some((row) => row.id === id)), ...pages.rows] : pages.rows;
  const rowOf = (row) => ({ id: row.id, cells: html`<${Cells} interception=${row} />` });
  const pane = (close) => html`<${Detail} key=${chosen} id=${chosen} fresh=${rows.find(({ id }) => id === chosen)} onClose=${close} />`;
  return html`
    <${Filters} route=${route} user=${user} />
    <${Toolbar} says=${countOf(pages, sought)}>
      <button type="button" aria-pressed=${live} onClick=${() => setLive(!live)}>Live</button>
      <${Export} q=${sought} />
    <//>
    <${List} view="interceptions" label="Calls" kind="call" heads=${HEADS} rows=${rows} rowOf=${rowOf} chosen=${chosen} kept=${params} pane=${pane}>
      <${End} pages=${pages}>${!rows.length && html`<${Nothing} isNarrowed=${sought} view="interceptions" none=${NONE} title="No calls yet">${NO_CALLS}<//>`}<//>
    <//>
  `;
}

/** How many calls there are, and what that leaves out. */
function countOf({ count, rest: { count_is_exact: isExact } }, sought) {
  if (count === null) return "";
  return `${isExact === false ? "at most " : ""}${plural(count, "call")}${sought ? " found" : ""}`;
}

function Export({ q }) {
  const link = (format) => address("interceptions/export", { format, q }).href;
  return html`
    <span class="export"><span class="quiet">Export</span> <a href=${link("csv")} download>CSV</a> <a href=${link("ndjson")} download>NDJSON</a></span>
  `;
}

const WHERE = { user_prompts: "prompt", tool_usages: "tool", model_thoughts: "thought", response: "response", error: "error" };

/** It is drawn again only where it changed: a list may be long. */
function Cells({ interception }) {
  return useMemo(() => cellsOf(interception), [interception]);
}

function cellsOf(interception) {
  const { initiator, model, client, started_at: started, ended_at: ended } = interception;
  const problem = problemOf(interception);
  const places = interception.matches ?? [];
  return html`
    <span class="at quiet">${time(started)}</span>
    <span class="user">${initiator.username}</span>
    <span class="model">${model}</span>
    <span class="prompt"><${What} interception=${interception} brief /></span>
    <span class="client quiet">${client}</span>
    <${UsageShort} usage=${usageOf(interception)} />
    <span class="cost number">${usd(costOf(interception))}</span>
    <span class="took number">${ended ? duration(between(started, ended)) : UNKNOWN}</span>
    <span class="state"><${Status} interception=${interception} marked=${["completed", "failed"]} /></span>
    ${places.length > 0 && html`<${Place} place=${places[0]} more=${places.length - 1} />`}
    ${problem && html`<span class="problem bad" title=${problem}>${problem}</span>`}
  `;
}

/** Where a call says what was searched for. */
function Place({ place: { field, before, text, after }, more }) {
  return html`
    <span class="place">
      <span class="quiet">${WHERE[field.split(/[[.]/, 1)[0]] ?? field}:</span> ${before}<mark>${text}</mark>${after}${more > 0 &&
      html` <span class="quiet">and ${more} more</span>`}
    </span>
  `;
}
