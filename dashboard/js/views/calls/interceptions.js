/** Every call that the user may see: a list on the left, the chosen one beside it. */

import { html } from "htm/preact";
import { Component, h } from "preact";
import { useState } from "preact/hooks";
import { Filters, useSearch } from "../../bar/bar.js";
import { valueOf, withTerm } from "../../bar/query.js";
import { IN_DEMO } from "../../frame/demo.js";
import { useOpenRow } from "../../frame/keys.js";
import { go, href } from "../../frame/router.js";
import { costOf, Status, usageOf, UsageShort } from "../../parts/figures.js";
import { End } from "../../parts/list.js";
import { Empty } from "../../parts/states.js";
import { address } from "../../server/api.js";
import { useLive } from "../../server/live.js";
import { usePages } from "../../server/resource.js";
import { between, duration, plural, time, UNKNOWN, usd } from "../../text/format.js";
import { problemOf } from "../../text/vocabulary.js";
import { Detail, What } from "./detail.js";

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

const WHERE = { user_prompts: "prompt", tool_usages: "tool", model_thoughts: "thought", response: "response", error: "error" };

/** A component that is not drawn again while its properties, compared one by one, stay the same. */
function memo(inner) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      return Object.keys({ ...next, ...this.props }).some((key) => next[key] !== this.props[key]);
    }

    render(properties) {
      return h(inner, properties);
    }
  };
}

/** What the columns are; a row says the same to whom cannot see it. */
function RowHead() {
  return html`
    <div class="row call head" aria-hidden="true">
      <span class="at">Time</span><span class="user">User</span><span class="model">Model</span>
      <span class="prompt">Prompt</span><span class="client">Client</span><span class="usage number">Tokens</span>
      <span class="cost number">Cost</span><span class="took number">Took</span><span class="state">State</span>
    </div>
  `;
}

const Row = memo(function Row({ interception, search, chosen }) {
  const { id, initiator, model, client, started_at: started, ended_at: ended } = interception;
  const problem = problemOf(interception);
  const places = interception.matches ?? [];
  return html`
    <li>
      <a class="row call" href=${href("interceptions", id) + (search && `?${search}`)} data-id=${id} aria-current=${chosen ? "true" : undefined}>
        <span class="at quiet">${time(started)}</span>
        <span class="user">${initiator.username}</span>
        <span class="model">${model}</span>
        <span class="prompt"><${What} interception=${interception} brief /></span>
        <span class="client quiet">${client}</span>
        <${UsageShort} usage=${usageOf(interception)} />
        <span class="cost number">${usd(costOf(interception))}</span>
        <span class="took number">${ended ? duration(between(started, ended)) : UNKNOWN}</span>
        <span class="state"><${Status} interception=${interception} brief /></span>
        ${places.length > 0 && html`<${Place} place=${places[0]} more=${places.length - 1} />`}
        ${problem && html`<span class="problem bad" title=${problem}>${problem}</span>`}
      </a>
    </li>
  `;
});

/** Where a call says what was searched for. */
function Place({ place: { field, before, text, after }, more }) {
  return html`
    <span class="place">
      <span class="quiet">${WHERE[field.split(/[[.]/, 1)[0]] ?? field}:</span> ${before}<mark>${text}</mark>${after}${more > 0 &&
      html` <span class="quiet">and ${more} more</span>`}
    </span>
  `;
}
