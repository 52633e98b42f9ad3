/** Why calls failed, and what the limits refused. */

import { html } from "htm/preact";
import { why } from "../ends.js";
import { percent, time, whole, words } from "../format.js";
import { useResource } from "../resource.js";
import { href } from "../router.js";
import { failedOf } from "../series.js";
import { seesEverything } from "../shell.js";

const LIMITS = { concurrency: "At capacity", user_concurrency: "User at capacity", rate: "Token rate limited", user_rate: "User rate limited" };

export function Failures({ figures, drill, user }) {
  const reasons = Object.entries(figures.failures)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, another]) => another - one);
  const failed = failedOf(figures);
  return html`
    <section class="card">
      <h2>Why calls failed</h2>
      ${reasons.length
        ? html`
            <ul class="reasons">
              ${reasons.map(
                ([reason, count]) => html`
                  <li key=${reason}>
                    <span>${words(reason)}</span><b>${whole(count)}</b><span class="quiet">${percent(count, failed)}</span>
                    <small class="quiet">${why(reason)}</small>
                    <span class="share-bar" aria-hidden="true"><i style=${{ width: `${(100 * count) / failed}%` }}></i></span>
                  </li>
                `,
              )}
            </ul>
            <p><a href=${drill({ status: "failed" })}>Show them</a></p>
          `
        : html`<p class="quiet">None did.</p>`}
      ${seesEverything(user) && html`<${Refused} />`}
    </section>
  `;
}

/** Requests that were refused were never calls: they are counted by the limits alone. */
function Refused() {
  const { data } = useResource("limits");
  if (!data) return null;
  return html`
    <h2>Refused by the limits</h2>
    <ul class="reasons">
      ${data.limits.map(({ name, refused }) => html`<li key=${name}><span>${LIMITS[name]}</span><b class=${refused ? "bad" : undefined}>${whole(refused)}</b></li>`)}
    </ul>
    <p class="quiet">Since ${time(data.refused_since)}, whatever the range above. <a href=${href("limits")}>Limits</a></p>
  `;
}
