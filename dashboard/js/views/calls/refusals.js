/** Calls that the bridge refused, newest first, with the reason of each. */

import { html } from "htm/preact";
import { Filters, useSearch } from "../../bar/bar.js";
import { seesEverything } from "../../frame/registry.js";
import { href } from "../../frame/router.js";
import { End, Nothing, Toolbar } from "../../parts/list.js";
import { usePages } from "../../server/resource.js";
import { duration, plural, time, whole } from "../../text/format.js";
import { reasonOf, ruleTitles, titleOf } from "../../text/vocabulary.js";

const PAGE = 100;

export default function Refusals({ route, user }) {
  const sought = useSearch(route.params);
  const pages = usePages("refusals", { q: sought }, "after_id", PAGE);
  return html`
    <${Filters} route=${route} user=${user} choices=${[["Reason", "rule", ruleTitles()]]} ofCalls=${false} example="rule:rate provider:openai status:429" />
    <${Toolbar} says=${`${pages.count === null ? "" : plural(pages.count, "row")}${sought ? " found" : ""}`} />
    <ol class="rows" aria-label="Refused calls, newest first">
      ${pages.rows.map((refusal) => html`<${Row} key=${refusal.id} refusal=${refusal} user=${user} />`)}
    </ol>
    <${End} pages=${pages}>
      <${Nothing} isNarrowed=${sought} view="refusals" none="No refused call that you may see fits this search." title="Nothing refused"><p>Calls that the bridge refuses appear here, each with its reason.</p><//>
    <//>
  `;
}

/** The policy that refused a call, as in `group research`: who may not read it is led to what holds for them. */
function Policy({ of, user }) {
  const [level, name] = of.split(/ (.*)/s);
  if (!seesEverything(user)) return html`policy of ${of}: <a href=${href("usage")}>what you may use</a>`;
  return html`<a href=${href("policies", name ? `${level}s/${name}` : level)}>policy of ${of}</a>`;
}

function Row({ refusal, user }) {
  const { at, initiator, api_key_id: token, client_ip: address, provider, model, method, path, status, rule, message, policy, retry_after_ms: wait, request_ids: ids, more, shadow } = refusal;
  const what = [provider, model, path && `${method} ${path}`, ids[0] && `request ${ids[0]}`].filter(Boolean).join(" · ");
  return html`
    <li class="entry refusal">
      <time class="quiet" datetime=${at} title=${at}>${time(at)}</time>
      <span class="what">
        <b>${titleOf(rule)}</b> <span class="quiet">${message ?? reasonOf(rule)}</span>${" "}
        ${shadow && html`<b>This limit only counts, and refused nothing.</b> `}
        ${more > 0 && html`<b class="bad">${whole(more)} more within the minute</b>`}
        <small class="quiet">${what}${policy && html` · <${Policy} of=${policy} user=${user} />`}</small>
      </span>
      <span class="quiet">
        ${shadow && "would be "}${status}${wait !== null && ` · retry after ${duration(wait)}`}<br />
        ${initiator?.username ?? address ?? "unknown"}${token && ` · token ${token}`}
      </span>
    </li>
  `;
}
