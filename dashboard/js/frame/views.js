/** Shows the view that an address names. Each is loaded when it is first shown. */

import { html } from "htm/preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { Beside } from "../bar/bar.js";
import { Empty, Failure, Loading } from "../parts/states.js";
import { ApiError } from "../server/api.js";
import { viewOf } from "./registry.js";
import { href } from "./router.js";

const loaded = new Map();

async function load({ view, from }) {
  loaded.set(view, (await import(`../views/${from}.js`)).default);
}

/** Why the view of a route could not be loaded; null while it is on its way, and once it is there. */
export function useView({ view }) {
  const [ended, setEnded] = useState({});
  const known = viewOf(view);
  useLayoutEffect(() => {
    if (!known || loaded.has(view)) return undefined;
    let here = true;
    const end = (failure) => here && setEnded({ view, failure });
    load(known).then(
      () => end(null),
      ({ message }) => end(new ApiError(0, "This view could not be loaded.", { detail: message })),
    );
    return () => {
      here = false;
    };
  }, [view]);
  return ended.view === view ? ended.failure : null;
}

/** The view of a route, for a signed-in user; `failure` is what `useView` returned. */
export function View({ failure, route, user, onMyself }) {
  const { view, id } = route;
  const { who, ofId, saved } = viewOf(view) ?? {};
  if (!who) return html`<${Empty} title="There is no such view"><p>Go to the <a href=${href("overview")}>overview</a>.</p><//>`;
  if (!who.includes(user.role)) return html`<${Empty} title="Not for your role"><p>${roles(who)} may see this view.</p><//>`;
  // A browser asks for a module again only after the page was loaded again.
  if (failure) return html`<${Failure} error=${failure} retry=${() => location.reload()} />`;
  const Component = loaded.get(view);
  if (!Component) return html`<${Loading} />`;
  return html`
    ${!saved && html`<p><${Beside} route=${route} user=${user} /></p>`}
    <${Component} key=${ofId ? `${view} ${id}` : view} route=${route} user=${user} onMyself=${onMyself} />
  `;
}

function roles(who) {
  const names = who.map((role) => `${role}s`).reverse();
  return `Only ${names.join(", ").replace(/, (\w+)$/, " and $1")}`;
}
