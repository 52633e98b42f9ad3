/** In place of a user who is not there. Limits still count for a while what a removed one used, and records stay. */

import { html } from "htm/preact";
import { searchFor } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { Empty } from "../../parts/states.js";

export function NoUser({ username }) {
  const calls = href("interceptions", "", { q: searchFor({ user: username }) });
  return html`<${Empty} title="There is no such user"><p>They may have been removed; their <a href=${calls}>calls</a> stay.</p><//>`;
}
