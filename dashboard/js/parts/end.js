/** The end of a list that comes page by page. */

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { whole } from "../text/format.js";
import { Failure, Loading, Reading } from "./states.js";

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
    <div class="end" ref=${mark}>
      ${pages.error && html`<${Failure} error=${pages.error} retry=${pages.retry} />`}
      ${pages.loading && (pages.progress ? html`<${Reading} progress=${pages.progress} />` : html`<${Loading} />`)}
      ${!pages.loading && !pages.error && !pages.done && html`<button type="button" onClick=${pages.more}>More</button>`}
      ${finished && pages.rows.length > 0 && html`<p class="quiet">${`That is all: ${whole(pages.rows.length)}.`}</p>`}
      ${finished && !pages.rows.length && children}
    </div>
  `;
}
