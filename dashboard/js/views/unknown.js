/** An address that leads nowhere. */

import { html } from "htm/preact";
import { Empty } from "../parts/states.js";
import { href } from "../frame/router.js";

export function Unknown() {
  return html`<${Empty} title="There is no such view"><p>Go to the <a href=${href("overview")}>overview</a>.</p><//>`;
}
