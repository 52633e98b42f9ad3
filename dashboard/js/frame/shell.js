/** The frame of every view: navigation, the signed-in user, the theme. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { signOut } from "../server/api.js";
import { useChange } from "../server/resource.js";
import { useKeys, VIEW_KEYS } from "./keys.js";
import { Help } from "./help.js";
import { IN_DEMO, InDemo, ROOT } from "./demo.js";
import { Failure } from "../parts/states.js";
import { RefusedKeys } from "./refused_keys.js";
import { go, href } from "./router.js";
import { chooseTheme, THEMES, useTheme } from "./theme.js";

const TABS = [
  ["overview", "Overview"],
  ["explore", "Explore"],
  ["interceptions", "Calls"],
  ["sessions", "Sessions"],
  ["limits", "Limits"],
  ["usage", "My usage"],
  ["providers", "Providers"],
  ["users", "Users"],
  ["connect", "Connect"],
];
// Those that other places lead to.
const MORE = [
  ["refusals", "Refused calls"],
  ["errors", "Errors"],
  ["groups", "Groups"],
  ["policies", "Policies"],
  ["prices", "Prices"],
  ["bill", "Bill"],
  ["webhooks", "Webhooks"],
  ["audit", "Audit trail"],
  ["tokens", "Your tokens"],
  ["device", "Sign in a program"],
  ["demo", "Demo company"],
];
const VERSION = document.querySelector("meta[name=version]").content;
// The tab that a view without one belongs to.
const BELONGS_TO = { refusals: "interceptions", errors: "interceptions", groups: "users", policies: "users", prices: "users", bill: "users", webhooks: "users" };
const NOT_FOR_MEMBERS = ["limits", "providers", "users"];
const NOT_FOR_READERS = ["providers"];
// Who looks at the demo company cannot call there.
const NOT_IN_DEMO = ["connect", "tokens", "device", "demo"];

/** Roles that see what everybody did, a reader without what they wrote. */
export function seesEveryone({ role }) {
  return role !== "member";
}

/** Roles that see besides with which tokens, who changed what, and how providers are reached. */
export function seesEverything({ role }) {
  return role === "owner" || role === "auditor";
}

function sees(user, view) {
  if (IN_DEMO && NOT_IN_DEMO.includes(view)) return false;
  if (view === "usage") return !seesEveryone(user); // the others find theirs beside the limits of all
  return seesEverything(user) || !(seesEveryone(user) ? NOT_FOR_READERS : NOT_FOR_MEMBERS).includes(view);
}

/** The frame; children are the view. */
export function Shell({ route, user, children }) {
  const main = useRef(null);
  const leaving = useChange();
  const title = [...TABS, ...MORE].find(([view]) => view === route.view)?.[1] ?? "Not found";
  useEffect(() => {
    document.title = `${title} · AI Bridge`;
  }, [title]);
  const tabs = TABS.filter(([view]) => sees(user, view));
  const help = useHelp([...TABS, ...MORE].filter(([view]) => sees(user, view)));
  return html`
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to content</button>
    <header class="top">
      <a class="brand" href=${href("overview")}><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</a>
      <nav aria-label="Views">
        ${tabs.map(
          ([view, text]) =>
            html`<a key=${view} href=${href(view)} aria-current=${view === (BELONGS_TO[route.view] ?? route.view) ? "page" : undefined}>${text}</a>`,
        )}
      </nav>
      <div class="me">
        <button type="button" class="plain keys" aria-label="Keys" onClick=${help.open}><span aria-hidden="true">?</span></button>
        <${ThemeButton} />
        <span class="who"><span class="said">Signed in as </span>${user.username} <span class="role">${user.role}</span></span>
        ${!IN_DEMO && html`<a href=${href("tokens")} aria-current=${route.view === "tokens" ? "page" : undefined}>Tokens</a>`}
        ${!IN_DEMO && html`<button type="button" class="plain" onClick=${() => leaving.run(signOut)}>Sign out</button>`}
      </div>
    </header>
    <main ref=${main} tabindex="-1" id="main" class=${`view ${route.view}`}>
      <h1 class="said">${title}</h1>
      ${leaving.error && html`<${Failure} error=${leaving.error} />`}
      <${RefusedKeys} />
      ${IN_DEMO && html`<${InDemo} />`}
      ${children}
    </main>
    <footer class="foot quiet">AI Bridge ${VERSION} · <a href=${`${ROOT}docs`}>API</a>${user.role === "owner" && html` · <a href=${href("demo")}>Demo company</a>`}</footer>
    ${help.shown}
  `;
}

/** The sheet of keys, and what the keys do that hold in every view. */
function useHelp(titles) {
  const [open, setOpen] = useState(false);
  const ways = Object.entries(VIEW_KEYS).filter(([, view]) => titles.some(([name]) => name === view));
  const follow = Object.fromEntries(ways.map(([key, view]) => [`g ${key}`, () => go(href(view))]));
  useKeys({ "?": () => setOpen(true), ...follow });
  return { open: () => setOpen(true), shown: open && html`<${Help} titles=${titles} onClose=${() => setOpen(false)} />` };
}

function ThemeButton() {
  const { theme } = useTheme();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return html`<button type="button" class="plain theme" onClick=${() => chooseTheme(next)} aria-label=${`Theme: ${theme}. Change to ${next}`}>
    <span aria-hidden="true">${{ system: "◐", light: "☀", dark: "☾" }[theme]}</span>
  </button>`;
}
