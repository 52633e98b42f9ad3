/** Every view: its address, its names, who may see it, and the module that shows it. */

const READERS = ["reader", "auditor", "owner"];
const AUDITORS = ["auditor", "owner"];
const OWNERS = ["owner"];
const ALL = ["member", ...READERS];
const SPENT = "M12 3v18M17 7c-2-3-10-2-9 2 1 3 8 2 9 6 1 4-8 5-10 1";

/**
 * `from` is its module, which exports it as its default. `who` may see it, `tab` has it among the tabs at the top, called `door` there
 * where it is not the only view behind it; those with an `icon`, the path of a drawing, stay in sight on a phone. `under` is the tab
 * that it belongs to where it has none, and `short` what it is called beside the others there. `key` goes there behind `g`. `saved`: it
 * has a bar, and its address can be saved; `ofOne`: its id says whose. `ofId`: it is another one for each id. `notInDemo`: who looks at
 * the demo company cannot call there.
 */
export const VIEWS = [
  { view: "overview", title: "Overview", who: ALL, tab: ALL, icon: "M5 20v-8M12 20V4M19 20v-5", key: "o", saved: true, from: "overview/overview" },
  { view: "explore", title: "Explore", who: ALL, tab: ALL, key: "e", saved: true, from: "explore/explore" },
  { view: "interceptions", title: "Calls", who: ALL, tab: ALL, icon: "M4 6h16M4 12h16M4 18h10", key: "c", saved: true, from: "calls/interceptions" },
  { view: "refusals", title: "Refused calls", short: "Refused", under: "interceptions", who: ALL, saved: true, from: "calls/refusals" },
  { view: "sessions", title: "Sessions", who: ALL, tab: ALL, icon: "M4 5h16v11h-9l-5 4v-4H4z", key: "s", saved: true, ofId: true, from: "sessions/sessions" },
  { view: "errors", title: "Errors", who: ALL, tab: ALL, key: "r", saved: true, from: "calls/errors" },
  { view: "budgets", title: "Budgets", door: "Spend", who: READERS, tab: READERS, icon: SPENT, key: "b", from: "money/budgets" },
  { view: "limits", title: "Limits", under: "budgets", who: ALL, key: "l", saved: true, from: "limits/limits" },
  { view: "prices", title: "Prices", under: "budgets", who: AUDITORS, from: "money/prices" },
  { view: "bill", title: "Bill", under: "budgets", who: AUDITORS, from: "money/bill" },
  { view: "usage", title: "My usage", who: ALL, tab: ["member"], icon: SPENT, saved: true, ofOne: true, from: "limits/usage" },
  { view: "users", title: "Users", door: "People", who: READERS, tab: READERS, key: "u", saved: true, ofOne: true, from: "accounts/users" },
  { view: "groups", title: "Groups", under: "users", who: READERS, saved: true, ofOne: true, from: "accounts/groups" },
  { view: "policies", title: "Policies", under: "users", who: AUDITORS, from: "limits/policies" },
  { view: "webhooks", title: "Webhooks", under: "users", who: OWNERS, from: "webhooks/webhooks" },
  { view: "providers", title: "Providers", who: AUDITORS, tab: AUDITORS, key: "p", saved: true, ofOne: true, from: "providers/providers" },
  { view: "audit", title: "Audit trail", door: "Audit", who: AUDITORS, tab: AUDITORS, key: "a", saved: true, from: "accounts/audit" },
  { view: "tokens", title: "Your tokens", who: ALL, key: "t", notInDemo: true, from: "accounts/tokens" },
  { view: "connect", title: "Connect", who: ALL, tab: ALL, key: "n", notInDemo: true, from: "start/connect" },
  { view: "device", title: "Sign in a program", who: ALL, ofId: true, notInDemo: true, from: "sign_in/device" },
  { view: "demo", title: "Demo company", who: OWNERS, notInDemo: true, from: "start/demo" },
];

/** A view by its name; undefined if there is none. */
export function viewOf(name) {
  return VIEWS.find(({ view }) => view === name);
}

/** Roles that see what everybody did, a reader without what they wrote. */
export function seesEveryone({ role }) {
  return READERS.includes(role);
}

/** Roles that see besides with which tokens, who changed what, and how providers are reached. */
export function seesEverything({ role }) {
  return AUDITORS.includes(role);
}
