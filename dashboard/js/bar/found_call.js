/** An id that is searched for opens its call, or the refusal of its request, in every view and whatever the range. */

import { useEffect, useRef } from "preact/hooks";
import { go, href } from "../frame/router.js";
import { get } from "../server/api.js";
import { idOf } from "./query.js";

/** Makes what takes a search: it opens the call of an id, unless one goes elsewhere first, and does `show` with all else. */
export function useFoundCall(route) {
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
