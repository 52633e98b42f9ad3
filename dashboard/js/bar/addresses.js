/** Saved views as addresses of the page. Pure. */

import { href } from "../frame/router.js";

/** The views that can be saved, as the API names them, with what they are called here. */
export const PAGES = {
  overview: "Overview",
  explore: "Explore",
  interceptions: "Calls",
  refusals: "Refused calls",
  errors: "Errors",
  sessions: "Sessions",
  limits: "Limits",
  usage: "My usage",
  providers: "Providers",
  users: "Users",
  groups: "Groups",
  tokens: "Your tokens",
  audit: "Audit trail",
};
// Those of somebody or something: the query says whose, as `of`.
const OF_ONE = ["usage", "providers", "users", "groups"];

/** What the API keeps of where one is: the view, and the parameters that have a value. */
export function savedOf({ view, id, params }) {
  const { of, ...others } = params;
  const all = OF_ONE.includes(view) ? { of: id, ...others } : params;
  return { page: view, query: Object.fromEntries(Object.entries(all).filter(([, value]) => value)) };
}

/** Where a saved view leads. */
export function addressOf({ page, query }) {
  const { of, ...others } = query;
  return OF_ONE.includes(page) ? href(page, of, others) : href(page, "", query);
}

/** Whether two saved views lead to the same address. */
export function isSame(one, another) {
  const text = ({ page, query }) => JSON.stringify([page, Object.entries(query).sort()]);
  return text(one) === text(another);
}

/** Saved views in the order of a menu: those of this page first, each page by name as the API has them. */
export function inMenu(views, page) {
  return [...views.filter((one) => one.page === page), ...views.filter((one) => one.page !== page)];
}
