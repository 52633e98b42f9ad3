/** Tabs of administration: users, groups, policies, prices, webhooks. */

import { html } from "htm/preact";
import { go, href } from "./router.js";
import { seesEverything, seesEveryone } from "./shell.js";
import { Segmented } from "../parts/segmented.js";

/** Those of the lists that this user may see, as pairs of view and text. */
function adminViews(user) {
  return [
    ["users", "Users", seesEveryone(user)],
    ["groups", "Groups", seesEveryone(user)],
    ["policies", "Policies", seesEverything(user)],
    ["prices", "Prices", seesEverything(user)],
    ["bill", "Bill", seesEverything(user)],
    ["webhooks", "Webhooks", user.role === "owner"],
  ]
    .filter(([, , may]) => may)
    .map(([view, text]) => [view, text]);
}

export function AdminTabs({ view, user }) {
  const options = adminViews(user);
  return html`<p class="list-tabs"><${Segmented} label="What is governed" options=${options} value=${view} onChoose=${(chosen) => chosen !== view && go(href(chosen))} /></p>`;
}
