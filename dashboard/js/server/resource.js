/** Hooks for what the server has: loaded, loading, or why not. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get, onSignedOut } from "./api.js";

const KEPT_MS = 300_000;

/**
 * A resource of the API, loaded again whenever its address changes. What was there stays until the new response is. What is
 * of another address goes if that is an error, or takes so long that there is progress to show. `setData` is for what a change returns.
 *
 * @param {string | null} path null: nothing is wanted now.
 * @param {Object} params
 * @param {{every?: number | ((data) => number)}} options `every`: load again after so many milliseconds, while the page is
 *   looked at; 0 is never.
 */
export function useResource(path, params = {}, { every = 0 } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: true, key: "", progress: null });
  const [reloads, setReloads] = useState(0);
  const key = path && path + JSON.stringify(params);
  useEffect(() => {
    if (!path) return undefined;
    const aborter = new AbortController();
    setState((before) => ({ ...before, loading: true, progress: null }));
    const keep = (before) => (before.key === key ? before.data : null);
    const onProgress = (progress) => aborter.signal.aborted || setState((before) => ({ ...before, data: keep(before), progress }));
    get(path, params, aborter.signal, onProgress).then(
      (data) => setState({ data, error: null, loading: false, key, progress: null }),
      (error) => {
        if (error.name !== "AbortError") setState((before) => ({ data: keep(before), error, loading: false, key, progress: null }));
      },
    );
    return () => aborter.abort();
  }, [key, reloads]);
  const reload = useCallback(() => setReloads((number) => number + 1), []);
  const pause = typeof every === "function" ? every(state.data) : every;
  // Asking again would break off a request that takes longer than the pause, each time.
  usePoll(path && !state.loading ? pause : 0, reload, path);
  return { ...state, reload, setData: (data) => setState((before) => ({ ...before, data })) };
}

/** Ask again after so many milliseconds, each time, while the page is looked at; 0 is never. It begins anew with another `key`. */
function usePoll(pause, ask, key) {
  useEffect(() => {
    const timer = pause && setInterval(() => document.hidden || ask(), pause);
    return () => clearInterval(timer);
  }, [pause, key]);
}

const kept = new Map();
onSignedOut(() => kept.clear());

/** What seldom changes, such as names to choose from: asked for once in minutes, whichever view needs it. Null until it is there. */
export function useKept(path, params = {}) {
  const [data, setData] = useState(null);
  const key = path && path + JSON.stringify(params);
  useEffect(() => {
    if (!path) return undefined;
    let here = true;
    if (!(kept.get(key)?.until > Date.now())) kept.set(key, { until: Date.now() + KEPT_MS, found: get(path, params) });
    kept.get(key).found.then((found) => here && setData(found), () => kept.delete(key));
    return () => {
      here = false;
    };
  }, [key]);
  return data;
}

/**
 * A list of the API, page by page, each beginning behind the last thing of the one before. What is loaded again stays until
 * the response is there.
 *
 * @param {string} path
 * @param {Object} params
 * @param {string} cursor the parameter that takes the last id; `offset` takes how many there are.
 * @param {number} limit the size of a page.
 * @param {{every?: number, read?: Function}} options `every`: load the first page again after so many milliseconds, while it is the only
 *   one; 0 is never. `read` makes a page, which has `results`, of a response that is none.
 */
export function usePages(path, params, cursor, limit, { every = 0, read = (page) => page } = {}) {
  const empty = { rows: [], count: null, rest: {}, error: null, loading: true, done: false, progress: null };
  const [state, setState] = useState(empty);
  const [reloads, setReloads] = useState(0);
  const aborter = useRef(null);
  const tried = useRef([[]]);
  const key = path + JSON.stringify(params);
  const load = (rows, next, { loading = true } = {}) => {
    aborter.current?.abort();
    aborter.current = new AbortController();
    tried.current = [rows, next];
    setState((before) => ({ ...before, error: null, loading, progress: null }));
    const behind = cursor === "offset" ? rows.length : (next ?? rows.at(-1)?.id);
    const { signal } = aborter.current;
    const onProgress = (progress) => signal.aborted || setState((before) => ({ ...before, progress }));
    get(path, { ...params, limit, [cursor]: behind }, signal, onProgress).then(
      (response) => {
        const { count, results, ...rest } = read(response);
        const known = new Set(rows.map(idOf));
        const all = [...rows, ...results.filter((row) => !known.has(idOf(row)))];
        setState({ ...empty, rows: all, count, rest, loading: false, done: results.length < limit && !nextOf(rest) });
      },
      (error) => {
        if (error.name !== "AbortError") setState((before) => ({ ...before, error, loading: false, progress: null }));
      },
    );
  };
  useEffect(() => setState(empty), [key]);
  useEffect(() => {
    load([]);
    return () => aborter.current?.abort();
  }, [key, reloads]);
  usePoll(state.loading || state.rows.length > limit ? 0 : every, () => load([], undefined, { loading: false }), key);
  const more = () => {
    const next = nextOf(state.rest);
    if (!state.loading && !state.done && !state.error && (state.rows.length || next)) load(state.rows, next);
  };
  const retry = () => load(...tried.current);
  return { ...state, more, retry, reload: () => setReloads((number) => number + 1) };
}

/** The identity of a row. */
const idOf = (row) => row.id ?? row.example_id;

/** Behind what to go on where a page ended early: `next_after_id`, or how it is called in that list, is an id then. */
const nextOf = (page) => Object.entries(page).find(([name, id]) => name.startsWith("next_after_") && id)?.[1];

/** A requested change: in progress, or the error. `run` calls the change and what follows it. */
export function useChange() {
  const [state, setState] = useState({ busy: false, error: null });
  const run = async (make) => {
    setState({ busy: true, error: null });
    try {
      await make();
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return { ...state, run };
}
