/** What was refused within a range, by its reason. */

import { html } from "htm/preact";
import { searchFor } from "../../bar/query.js";
import { reasonOf, titleOf } from "../../text/vocabulary.js";
import { plural, whole } from "../../text/format.js";
import { Failure } from "../../parts/states.js";
import { href } from "../../frame/router.js";

/** The list of those that a rule refused. `range` is what says the range in an address. */
export function refusedBy(rule, range) {
  return href("refusals", "", { q: searchFor({ rule }), ...range });
}

/** `refused` is the response of `/stats` about refusals by rule, as `useResource` has it. */
export function RefusedInRange({ refused, range }) {
  const { data, error, reload } = refused;
  return html`
    <section class="card refused-in-range">
      <h2>Refused in this time</h2>
      ${error && html`<${Failure} error=${error} retry=${reload} />`}
      ${!data && !error && html`<p class="quiet">…</p>`}
      ${data && html`<p class=${data.total.refusals ? "bad" : "quiet"}>${data.total.refusals ? `${plural(data.total.refusals, "request")} refused` : "Nothing was refused."}</p>`}
      ${data?.groups.length > 0 &&
      html`
        <ul class="refused-rules">
          ${data.groups.map(
            ({ group: { rule }, total }) => html`
              <li key=${rule}><a href=${refusedBy(rule, range)}><b>${whole(total.refusals)} × ${titleOf(rule)}</b></a> <span class="quiet">${reasonOf(rule)}</span></li>
            `,
          )}
        </ul>
        <p><a href=${href("explore", "", { of: "refusals", by: "user,rule", ...range })}>Whose calls these were</a></p>
      `}
    </section>
  `;
}
