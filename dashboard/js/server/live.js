/** Interceptions as they begin and end. */

import { useEffect, useRef, useState } from "preact/hooks";
import { address, whyRefused } from "./api.js";

const AGAIN_MS = 5000;

/**
 * Follow what happens while `on`.
 *
 * @param {boolean} on
 * @param {string} q a search.
 * @param {(interception: Object) => void} onInterception called for each.
 * @param {() => void} onGap called when some may have been missed.
 * @returns {{state: "off" | "connecting" | "live" | "lost", reason: string | null}} `lost`: the server said no, and why;
 *   it is tried again a little later.
 */
export function useLive(on, q, onInterception, onGap) {
  const [state, setState] = useState("off");
  const [reason, setReason] = useState(null);
  const [attempt, setAttempt] = useState(0);
  const receive = useRef();
  receive.current = { onInterception, onGap };
  useEffect(() => {
    if (!on) {
      setState("off");
      return undefined;
    }
    let timer;
    setState("connecting");
    const url = address("interceptions/live", { q });
    const source = new EventSource(url);
    const again = () => {
      source.close();
      setState("lost");
      whyRefused(url).then(setReason);
      timer = setTimeout(() => {
        receive.current.onGap();
        setAttempt((number) => number + 1);
      }, AGAIN_MS);
    };
    source.onopen = () => setState("live");
    source.onerror = () => (source.readyState === EventSource.CLOSED ? again() : setState("connecting"));
    source.addEventListener("interception", ({ data }) => receive.current.onInterception(JSON.parse(data)));
    source.addEventListener("reset", again);
    return () => {
      source.close();
      clearTimeout(timer);
    };
  }, [on, q, attempt]);
  return { state, reason };
}
