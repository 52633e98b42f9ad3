/** Every view has an address behind the `#`: `#/view/id?name=value`. */

import { useEffect, useState } from "preact/hooks";

const HOME = "overview";
/** What people call views whose address has another name. */
const ALSO = { calls: "interceptions", spend: "budgets", people: "users" };

/** Read an address into `{view, id, params}`; `params` is an object of texts. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [view = "", id = ""] = path.split("/").map(decoded);
  return { view: (Object.hasOwn(ALSO, view) ? ALSO[view] : view) || HOME, id, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Write an address; parameters without a value are left out. */
export function href(view, id = "", params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value));
  const path = id ? `${view}/${encodeURIComponent(id)}` : view;
  return `#/${path}${query.size ? "?" + query : ""}`;
}

/** Go somewhere; with `replace` the way back skips where one was. */
export function go(address, { replace = false } = {}) {
  if (address === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  // The browser itself tells of it in a later task. A choice that comes before would start from the old address.
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The code of a link that signs in once, or "". */
export function readCode() {
  return removeId("sign-in");
}

/** The word that says why a sign-in elsewhere did not work, or "". */
export function readRefusal() {
  return removeId("sign-in-refused");
}

/** The id in an address of this view, or ""; it is removed from the address, so that nobody else finds it. */
function removeId(name) {
  const { view, id, params } = parse(location.hash);
  if (view !== name) return "";
  go(href(params.to ?? HOME), { replace: true });
  return id;
}

/** Where one is, kept up to date. */
export function useRoute() {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const follow = () => setRoute(parse(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
