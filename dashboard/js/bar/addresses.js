/** Saved views as addresses of the page. Pure. */

import { viewOf } from "../frame/registry.js";
import { href } from "../frame/router.js";

/** What the API keeps of where one is: the view, and the parameters that have a value; `of` says of whom or what it is. */
export function savedOf({ view, id, params }) {
  const { of, ...others } = params;
  const all = viewOf(view)?.ofOne ? { of: id, ...others } : params;
  return { page: view, query: Object.fromEntries(Object.entries(all).filter(([, value]) => value)) };
}

/** Where a saved view leads. */
export function addressOf({ page, query }) {
  const { of, ...others } = query;
  return viewOf(page)?.ofOne ? href(page, of, others) : href(page, "", query);
}

/** Whether two saved views lead to the same address. */
export function isSame(one, another) {
  const text = ({ page, query }) => JSON.stringify([page, Object.entries(query).sort()]);
  return text(one) === text(another);
}
