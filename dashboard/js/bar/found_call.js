/** An id that is searched for opens its call, in every view and whatever the range. */

import { useEffect, useRef } from "preact/hooks";
import { get } from "../server/api.js";
import { idOf } from "./query.js";
import { go, href } from "../frame/router.js";

/** Makes what takes a search: it opens the call of an id, unless one goes elsewhere first, and does `show` with all else. */
export function useFoundCall(route) {
  const aborter = useRef(null);
  useEffect(() => () => aborter.current?.abort(), [route]);
  return (text, show) => {
    aborter.current?.abort();
    if (!idOf(text)) return show();
    aborter.current = new AbortController();
    const open = ({ results: [call] }) => (call ? go(href("interceptions", call.id, { q: text })) : show());
    return get("interceptions", { q: text, limit: 1 }, aborter.current.signal).then(open, (error) => error.name === "AbortError" || show());
  };
}
