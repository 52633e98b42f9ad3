/** An id that is searched for opens its call, in every view and whatever the range. */

import { useEffect, useRef } from "preact/hooks";
import { get } from "../server/api.js";
import { idOf } from "./query.js";
import { go, href } from "../frame/router.js";

/** Makes what takes a search: it opens the call of an id, unless one goes elsewhere first, and does `show` with all else. */
export function useFoundCall(route) {
  const asking = useRef(null);
  useEffect(() => () => asking.current?.abort(), [route]);
  return (text, show) => {
    asking.current?.abort();
    if (!idOf(text)) return show();
    asking.current = new AbortController();
    const open = ({ results: [call] }) => (call ? go(href("interceptions", call.id, { q: text })) : show());
    return get("interceptions", { q: text, limit: 1 }, asking.current.signal).then(open, (error) => error.name === "AbortError" || show());
  };
}
