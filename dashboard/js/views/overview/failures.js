/** Why calls failed, and which the bridge refused. */

import { html } from "htm/preact";
import { percent, whole, words } from "../../text/format.js";
import { reasonOf, titleOf, why } from "../../text/vocabulary.js";

/** `refusals` are the statistics of refused calls by rule, undefined where they are not known; `drill` and `drillRefused` make addresses of the calls, and of the refused calls, that terms find in this range. */
export function Failures({ figures, refusals, drill, drillRefused }) {
  const reasons = Object.entries(figures.failures)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, another]) => another - one);
  return html`
    <section class="card">
      <h2>Why calls failed</h2>
      ${reasons.length
        ? html`
            <ul class="reasons">
              ${reasons.map(
                ([reason, count]) => html`
                  <li key=${reason}>
                    <span>${words(reason)}</span><b>${whole(count)}</b><span class="quiet">${percent(count, figures.failed)}</span>
                    <small class="quiet">${why(reason)}</small>
                    <span class="share-bar" aria-hidden="true"><i style=${{ width: `${(100 * count) / figures.failed}%` }}></i></span>
                  </li>
                `,
              )}
            </ul>
            <p><a href=${drill({ status: "failed" })}>Show them</a></p>
          `
        : html`<p class="quiet">None did.</p>`}
      ${refusals && html`<${Refused} refusals=${refusals} drill=${drillRefused} />`}
    </section>
  `;
}

/** Calls that the bridge refused in the same range: they are no interceptions, so no figure above has them. */
export function Refused({ refusals, drill }) {
  const { refusals: total } = refusals.total;
  return html`
    <h2>Refused by the bridge</h2>
    ${total
      ? html`
          <ul class="reasons">
            ${refusals.groups.map(
              ({ group: { rule }, total: { refusals: count } }) => html`
                <li key=${rule}>
                  <a href=${drill({ rule })}>${titleOf(rule)}</a><b>${whole(count)}</b><span class="quiet">${percent(count, total)}</span>
                  <small class="quiet">${reasonOf(rule)}</small>
                </li>
              `,
            )}
          </ul>
          <p><a href=${drill({})}>Show them</a></p>
        `
      : html`<p class="quiet">None were.</p>`}
  `;
}
