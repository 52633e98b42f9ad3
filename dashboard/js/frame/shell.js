/** The frame of every view: navigation, the signed-in user, the theme. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { SavedViews } from "../bar/saved_views.js";
import { Dialog } from "../parts/forms.js";
import { Failure } from "../parts/states.js";
import { loadedAt, signOut } from "../server/api.js";
import { useChange, useResource } from "../server/resource.js";
import { ago, plural, time } from "../text/format.js";
import { IN_DEMO, InDemo, ROOT } from "./demo.js";
import { useKeys } from "./keys.js";
import { viewOf, VIEWS } from "./registry.js";
import { go, href } from "./router.js";
import { chooseTheme, THEMES, useTheme } from "./theme.js";

const VERSION = document.querySelector("meta[name=version]").content;
/** What each key does that is none of a view. */
const KEYS = [
  ["Everywhere", [["?", "Show these keys"], ["Esc", "Close what is open"]]],
  ["In a list", [["j or ↓", "Go to the next line"], ["k or ↑", "Go to the line before"], ["Enter", "Open the line"], ["/", "Search"]]],
  ["On a chart", [["← →", "Go from bar to bar"], ["Home End", "Go to the first bar, to the last"], ["Enter", "Show its calls"], ["Shift ← →", "Choose a range; Enter shows it"]]],
];
const EVERY_MS = 15_000;
const LOADED_EVERY_MS = 5000;
const MORE = "M5 12h.01M12 12h.01M19 12h.01";

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
  const tabs = seen.filter(({ tab }) => tab?.includes(user.role));
  const isHere = ({ view }) => view === (under ?? route.view);
  const tab = (one) => html`<${Tab} key=${one.view} ...${one} isHere=${isHere(one)} />`;
  const others = tabs.filter(({ icon }) => !icon);
  const own = html`
    <span class="who"><span class="said">Signed in as </span>${user.username} <span class="role">${user.role}</span></span>
    ${!IN_DEMO && html`<a href=${href("tokens")} aria-current=${route.view === "tokens" ? "page" : undefined}>Tokens</a>`}
    ${!IN_DEMO && html`<button type="button" class="plain" onClick=${() => leaving.run(signOut)}>Sign out</button>`}
  `;
  return html`
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to content</button>
    <header class="top">
      <a class="brand" href=${href("overview")}><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</a>
      <nav aria-label="Views">
        ${tabs.map(tab)}
        <button type="button" class="more" popovertarget="more" aria-current=${others.some(isHere) ? "true" : undefined}><${Icon} path=${MORE} />More</button>
        <section id="more" class="menu" popover="auto" aria-label="More views" key=${route.view}>${others.map(tab)}${own}</section>
      </nav>
      <div class="me">
        <${SavedViews} key=${route.view} route=${route} user=${user} />
        <button type="button" class="plain keys" aria-label="Keys" onClick=${help.open}><span aria-hidden="true">?</span></button>
        <${ThemeButton} />
        <span class="own">${own}</span>
      </div>
    </header>
    <main ref=${main} tabindex="-1" id="main" class=${`view ${route.view}`}>
      <h1>${title} <${Loaded} key=${route.view} /></h1>
      ${leaving.error && html`<${Failure} error=${leaving.error} />`}
      <${RefusedKeys} />
      ${IN_DEMO && html`<${InDemo} />`}
      ${children}
    </main>
    <footer class="foot quiet">AI Bridge ${VERSION} · <a href=${`${ROOT}help`}>Documents</a> · <a href=${`${ROOT}help/reference`}>API</a>${user.role === "owner" && html` · <a href=${href("demo")}>Demo company</a>`}</footer>
    ${help.shown}
  `;
}

function Tab({ view, title, door = title, icon, isHere }) {
  return html`<a class=${icon ? "first" : ""} href=${href(view)} aria-current=${isHere ? "page" : undefined}>${icon && html`<${Icon} path=${icon} />`}${door}</a>`;
}

function Icon({ path }) {
  return html`<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path} /></svg>`;
}

/** How old what is shown is. */
function Loaded() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), LOADED_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return loadedAt() > 0 && html`<small class="quiet">updated ${ago(loadedAt(), now)}</small>`;
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

/** `views` are those that one may go to by a key. */
function Help({ views, onClose }) {
  return html`
    <${Dialog} title="Keys" onClose=${onClose}>
      <div class="keys">
        ${[...KEYS, ["Go to a view", views.map(({ key, title }) => [`g ${key}`, title])]].map(
          ([where, keys]) => html`
            <section key=${where}>
              <h3>${where}</h3>
              <dl class="facts">
                ${keys.map(([key, what]) => html`<div key=${key}><dt>${key.split(" ").map((word) => (word === "or" ? " or " : html`<kbd>${word}</kbd> `))}</dt><dd>${what}</dd></div>`)}
              </dl>
            </section>
          `,
        )}
      </div>
      <div class="buttons flow"><button type="button" onClick=${onClose}>Close</button></div>
    <//>
  `;
}

function RefusedKeys() {
  const { data } = useResource("providers/configured", {}, { every: EVERY_MS });
  const refused = (data ?? []).flatMap(({ name, keys }) => keys.filter((key) => key.refused).map((key) => ({ name, ...key })));
  return refused.map(
    ({ name, hint, setting, refused: { status, since, calls } }) => html`
      <p class="failure" role="alert" key=${name + hint}>
        <strong>${name}</strong>: key <code>${hint.replace("...", "…")}</code> refused (${status}) since ${time(since)}; ${plural(calls, "call")}.
        ${" "}<span class="quiet">${setting ? html`Setting: <code>${setting}</code>` : html`<a href=${href("providers", name)}>Look at its keys</a>`}</span>
      </p>
    `,
  );
}
