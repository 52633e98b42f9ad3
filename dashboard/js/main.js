/** Begins here. */

import { html, render } from "htm/preact";
import { App } from "./app.js";
import { showTheme } from "./frame/theme.js";

showTheme();
render(html`<${App} />`, document.getElementById("app"));
