/** The API as a page: every operation with its fields and examples. */

import { html, render } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { showTheme } from "../frame/theme.js";
import { Failure, Loading } from "../parts/states.js";
import { get } from "../server/api.js";
import { matching, sections } from "./description.js";
import { Operation, Text } from "./operation.js";

function Reference() {
  const [{ description, error }, setLoaded] = useState({});
  const [words, setWords] = useState("");
  const [open, setOpen] = useState(() => new Set([decodeURIComponent(location.hash.slice(1))]));
  const load = () => get("../../../openapi.json").then((loaded) => setLoaded({ description: loaded }), (failure) => setLoaded({ error: failure }));
  useEffect(() => void load(), []);
  useEffect(() => document.getElementById(location.hash.slice(1))?.scrollIntoView(), [description]);
  if (error) return html`<main class="gate stack"><${Failure} error=${error} retry=${load} /></main>`;
  if (!description) return html`<main class="gate stack"><${Loading} /></main>`;
  const toggle = (id, isOpen) => {
    setOpen((before) => new Set(isOpen ? [...before, id] : [...before].filter((one) => one !== id)));
    if (isOpen) history.replaceState(null, "", `#${id}`);
  };
  const found = matching(sections(description), words);
  return html`
    <header class="top"><a class="brand" href="./"><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</a></header>
    <main class="view reference" id="main">
      <h1>The API</h1>
      ${description.info.description.split("\n\n").map((text) => html`<p key=${text}><${Text} text=${text} /></p>`)}
      <p>
        Version ${description.info.version}. The same for programs: <a href="openapi.json">openapi.json</a>. What you send here is asked
        with your sign-in of <a href="./">the dashboard</a>.
      </p>
      <label class="search">Find <input type="search" value=${words} onInput=${(event) => setWords(event.target.value)} /></label>
      ${found.length === 0 && html`<p role="status">No operation has these words.</p>`}
      ${found.map(
        ({ name, description: about, operations }) => html`
          <section key=${name} aria-label=${name}>
            <h2>${name}</h2>
            <p class="quiet">${about}</p>
            ${operations.map((one) => html`<${Operation} key=${one.id} description=${description} operation=${one} open=${open.has(one.id)} onToggle=${(isOpen) => toggle(one.id, isOpen)} />`)}
          </section>
        `,
      )}
    </main>
  `;
}

showTheme();
render(html`<${Reference} />`, document.getElementById("app"));
