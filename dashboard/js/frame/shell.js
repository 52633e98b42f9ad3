/** The frame of every view: navigation, the signed-in user, the theme. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Failure } from "../parts/states.js";
import { signOut } from "../server/api.js";
import { useChange } from "../server/resource.js";
import { IN_DEMO, InDemo, ROOT } from "./demo.js";
import { Help } from "./help.js";
import { useKeys } from "./keys.js";
import { RefusedKeys } from "./refused_keys.js";
import { viewOf, VIEWS } from "./registry.js";
import { go, href } from "./router.js";
import { chooseTheme, THEMES, useTheme } from "./theme.js";

const VERSION = document.querySelector("meta[name=version]").content;

function sees({ who, notInDemo }, { role }) {
  return who.includes(role) && !(IN_DEMO && notInDemo);
}

/** The frame; children are the view. */
export function Shell({ route, user, children }) {
  const main = useRef(null);
  const leaving = useChange();
  const { title, under } = viewOf(route.view) ?? { title: "Not found" };
  useEffect(() => {
    document.title = `${title} · AI Bridge`;
  }, [title]);
  const seen = VIEWS.filter((one) => sees(one, user));
  const help = useHelp(seen.filter(({ key }) => key));
  return html`
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to content</button>
    <header class="top">
      <a class="brand" href=${href("overview")}><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</a>
      <nav aria-label="Views">
        ${seen
          .filter(({ tab }) => tab?.includes(user.role))
          .map(({ view, title: text }) => html`<a key=${view} href=${href(view)} aria-current=${view === (under ?? route.view) ? "page" : undefined}>${text}</a>`)}
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
function useHelp(views) {
  const [open, setOpen] = useState(false);
  useKeys({ "?": () => setOpen(true), ...Object.fromEntries(views.map(({ key, view }) => [`g ${key}`, () => go(href(view))])) });
  return { open: () => setOpen(true), shown: open && html`<${Help} views=${views} onClose=${() => setOpen(false)} />` };
}

function ThemeButton() {
  const { theme } = useTheme();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return html`<button type="button" class="plain theme" onClick=${() => chooseTheme(next)} aria-label=${`Theme: ${theme}. Change to ${next}`}>
    <span aria-hidden="true">${{ system: "◐", light: "☀", dark: "☾" }[theme]}</span>
  </button>`;
}
