/** Which view has which name. Each is loaded when it is first shown. */

import { html } from "htm/preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { ApiError } from "../server/api.js";
import { Failure, Loading } from "../parts/states.js";
import { Unknown } from "../views/unknown.js";

const LOADERS = {
  overview: async () => (await import("../views/overview/overview.js")).Overview,
  explore: async () => (await import("../views/explore/explore.js")).Explore,
  interceptions: async () => (await import("../views/calls/interceptions.js")).Interceptions,
  refusals: async () => (await import("../views/calls/refusals.js")).Refusals,
  errors: async () => (await import("../views/calls/errors.js")).Errors,
  sessions: async () => (await import("../views/sessions/sessions.js")).Sessions,
  "sessions/": async () => (await import("../views/sessions/session.js")).Session,
  limits: async () => (await import("../views/limits/limits.js")).Limits,
  providers: async () => (await import("../views/providers/providers.js")).Providers,
  users: async () => (await import("../views/accounts/users.js")).Users,
  groups: async () => (await import("../views/accounts/groups.js")).Groups,
  policies: async () => (await import("../views/limits/policies.js")).Policies,
  prices: async () => (await import("../views/money/prices.js")).Prices,
  bill: async () => (await import("../views/money/bill.js")).Bill,
  webhooks: async () => (await import("../views/webhooks/webhooks.js")).Webhooks,
  usage: async () => (await import("../views/limits/usage.js")).Usage,
  audit: async () => (await import("../views/accounts/audit.js")).Audit,
  tokens: async () => (await import("../views/accounts/tokens.js")).OwnTokens,
  connect: async () => (await import("../views/start/connect.js")).Connect,
  demo: async () => (await import("../views/start/demo.js")).Demo,
  device: async () => (await import("../views/sign_in/device.js")).Device,
};
// Those that are something else for each id.
const OF_AN_ID = ["sessions/", "device"];
const LOAD_OTHERS_AFTER_MS = 3000;
const loaded = new Map();

/** Load all views, one after the other, when the first one has had the time that it needs: so each is there when somebody goes to it. */
export function loadOthersLater() {
  setTimeout(() => loadAll().catch(() => {}), LOAD_OTHERS_AFTER_MS);
}

/** Throws at the first that cannot be loaded: a browser asks for a module only once, so the others are left to who needs them. */
async function loadAll() {
  for (const name of Object.keys(LOADERS)) await load(name);
}

/** The view that a route names: its component, or why it could not be loaded; neither while it is on its way. */
export function useView(route) {
  const name = nameOf(route);
  const [ended, setEnded] = useState({});
  useLayoutEffect(() => {
    if (!Object.hasOwn(LOADERS, name) || loaded.has(name)) return undefined;
    let here = true;
    const end = (failure) => here && setEnded({ name, failure });
    load(name).then(
      () => end(null),
      ({ message }) => end(new ApiError(0, "This view could not be loaded.", { detail: message })),
    );
    return () => {
      here = false;
    };
  }, [name]);
  return { component: Object.hasOwn(LOADERS, name) ? loaded.get(name) : Unknown, failure: ended.name === name ? ended.failure : null };
}

/** What `useView` returned, for a signed-in user. */
export function View({ view, route, user, onMyself }) {
  const { component: Component, failure } = view;
  const name = nameOf(route);
  if (Component) return html`<${Component} key=${OF_AN_ID.includes(name) ? route.id : name} id=${route.id} route=${route} user=${user} onMyself=${onMyself} />`;
  // A browser asks for a module again only after the page was loaded again.
  return failure ? html`<${Failure} error=${failure} retry=${() => location.reload()} />` : html`<${Loading} />`;
}

function nameOf({ view, id }) {
  return view === "sessions" && id ? "sessions/" : view;
}

async function load(name) {
  loaded.set(name, await LOADERS[name]());
}
