/** How much of something is used. */

import { html } from "htm/preact";
import { Track } from "../../parts/track.js";
import { whole } from "../../text/format.js";

const NEARLY = 0.8;

/** `limit` 0: no limit; only the figure is shown. `format` writes it; `shownName` is the name with a link, where it has one. */
export function Gauge({ name, shownName = name, used, limit, format = whole }) {
  const part = limit ? Math.min(1, used / limit) : 0;
  const level = part >= 1 ? "full" : part >= NEARLY ? "high" : "fine";
  return html`
    <div class="gauge">
      <span class="name">${shownName}</span>
      <span class="amount"><b>${format(used)}</b>${limit ? ` of ${format(limit)}` : ""}</span>
      ${limit > 0 && html`<${Track} label=${name} value=${Math.min(used, limit)} max=${limit} level=${level} />`}
    </div>
  `;
}
