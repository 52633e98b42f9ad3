/** Lists: rows that open beside them, and the end of those that come page by page. */

import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useOpenRow } from "../frame/keys.js";
import { href } from "../frame/router.js";
import { whole } from "../text/format.js";
import { Empty, Pending } from "./states.js";

/** Above a list: what it says of it, and children, which are what can be done with it. */
export function Toolbar({ says, children }) {
  return html`<div class="toolbar flow"><p role="status" class="quiet">${says}</p>${children}</div>`;
}

/**
 * A list of things with an address each; the one that is open is beside it.
 *
 * @param {string} view the view of their addresses; `kept` are parameters that stay when another one is opened.
 * @param {string} kind the class of its rows; `columns` of the grid that each row is, where the class does not say them.
 * @param {(one: Object) => {id: string, key: string, cells: Object[]}} rowOf what a row shows.
 * @param {string} chosen the id that is open, in any case, or its key; `heads` are what its columns are called.
 * @param {(close: () => void) => Object} pane draws the open one.
 */
export function List({ view, label, kind = "line", columns, heads, rows, rowOf, chosen = "", kept = {}, pane, children }) {
  const close = useOpenRow(".rows a.row", chosen, href(view, "", kept));
  const row = (one) => {
    const { id, key = id, cells } = rowOf(one);
    const isChosen = [id.toLowerCase(), key].includes(chosen.toLowerCase());
    return html`
      <li key=${key}>
        <a class="row ${kind}" href=${href(view, id, kept)} data-name=${id} aria-current=${isChosen ? "true" : undefined}>${cells}</a>
      </li>
    `;
  };
  return html`
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label=${label} style=${columns && { "--columns": columns }}>
        ${heads && html`<div class="row ${kind} head" aria-hidden="true">${heads}</div>`}
        <ol class="rows">${rows.map(row)}</ol>
        ${children}
      </section>
      ${chosen && pane(close)}
    </div>
  `;
}

/** The details of one thing, beside its list or over it. `mark` is shown beside the title, which has the focus at first. */
export function Pane({ label, title, mark, onClose, children }) {
  const heading = useRef(null);
  // Before the next key: an effect that waits for a paint would take the focus from the row to which that key went.
  useLayoutEffect(() => heading.current.focus({ preventScroll: true }), []);
  return html`
    <aside class="detail" aria-label=${label} tabindex="-1">
      <header>
        <h2 ref=${heading} tabindex="-1">${title}</h2>
        ${mark}
        <button type="button" class="plain close" onClick=${onClose} aria-label="Close">✕</button>
      </header>
      ${children}
    </aside>
  `;
}

/**
 * Why a list is empty: nothing matches where it `isNarrowed`, which `none` says with the way to all of the view, else children
 * with their title.
 */
export function Nothing({ isNarrowed, view, none, title, children }) {
  if (!isNarrowed) return html`<${Empty} title=${title}>${children}<//>`;
  return html`<${Empty} title="Nothing matches"><p>${none} <a href=${href(view)}>Show all</a></p><//>`;
}

/** More of them, that these are all, or why there are none, which children say. What comes into sight is loaded. */
export function End({ pages, children }) {
  const mark = useRef(null);
  const latest = useRef();
  latest.current = pages.more;
  useEffect(() => {
    // Several changes may come at once, the oldest first.
    const follow = (changes) => changes.at(-1).isIntersecting && latest.current();
    const observer = new IntersectionObserver(follow, { rootMargin: "600px" });
    observer.observe(mark.current);
    return () => observer.disconnect();
  }, [pages.rows.length]);
  const finished = pages.done && !pages.loading;
  return html`
    <div class="end" key=${pages.rows.length > 0} ref=${mark}>
      <${Pending} data=${!pages.loading} error=${pages.error} retry=${pages.retry} progress=${pages.progress} />
      ${!pages.loading && !pages.error && !pages.done && html`<button type="button" onClick=${pages.more}>More</button>`}
      ${finished && pages.rows.length > 0 && html`<p class="quiet">${`That is all: ${whole(pages.rows.length)}.`}</p>`}
      ${finished && !pages.rows.length && children}
    </div>
  `;
}
