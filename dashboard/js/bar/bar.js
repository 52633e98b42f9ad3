/** The bar above lists and charts: time range, filters as chips, saved views. All of it is in the address. */

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { viewOf } from "../frame/registry.js";
import { go, href } from "../frame/router.js";
import { get } from "../server/api.js";
import { idOf } from "./query.js";
import { isTimed, withoutTimes, withRangeApart } from "./range.js";
import { RangePicker } from "./range_picker.js";
import { SavedViews } from "./saved_views.js";
import { Search } from "./search.js";

/** What changes the address of a view. An open call is closed; `id` is what stays open. */
export function chooser({ view, params }, id = "") {
  const { q, range, from, to, tz, ...others } = params;
  return (change) => go(href(view, id, { q, range, from, to, tz, ...others, ...change }));
}

/**
 * `chosen` is the range, see `chosenRange`; with `isEver` all time may be chosen, too. `search` has what `Search` needs, or is
 * undefined where nothing can be filtered. `id` is what stays open when something is chosen. Children are what else there is to choose.
 */
export function Bar({ route, user, chosen, isEver, search, id, children }) {
  const { q = "" } = route.params;
  const openOr = useFoundCall(route);
  const choose = chooser(route, id);
  const timed = search && isTimed(q);
  const pick = (change) => choose(timed && ("range" in change || "from" in change) ? { ...change, q: withoutTimes(q) } : change);
  const find = (text) => {
    const { q: found, range } = withRangeApart(text);
    choose({ q: found, ...(range ? { range, from: "", to: "" } : {}) });
  };
  return html`
    <div class="view-bar stack">
      <div class="bar-line flow">
        <div class="choices flow">
          <${RangePicker} chosen=${chosen} isEver=${isEver} isTimed=${timed} choose=${pick} />
          ${children}
        </div>
        ${viewOf(route.view)?.saved && html`<${SavedViews} route=${route} user=${user} />`}
      </div>
      ${search && html`<${Search} ...${search} q=${q} user=${user} onSearch=${(text) => openOr(text, () => find(text))} />`}
    </div>
  `;
}

/** Makes what takes a search: it opens the call of an id, unless one goes elsewhere first, and does `show` with all else. */
function useFoundCall(route) {
  const aborter = useRef(null);
  useEffect(() => () => aborter.current?.abort(), [route]);
  return (text, show) => {
    aborter.current?.abort();
    if (!idOf(text)) return show();
    aborter.current = new AbortController();
    const { signal } = aborter.current;
    const find = async () => {
      const [call] = (await get("interceptions", { q: text, limit: 1 }, signal)).results;
      if (call) return go(href("interceptions", call.id, { q: text }));
      return (await get("refusals", { q: text, limit: 1 }, signal)).count ? go(href("refusals", "", { q: text })) : show();
    };
    return find().catch((error) => error.name === "AbortError" || show());
  };
}
