/** Where the prompt cache broke at a call, what that cost, and what usually helps. */

import { html } from "htm/preact";
import { href } from "../../frame/router.js";
import { whole } from "../../text/format.js";
import { breakOf, cureOf, lossOf } from "../../text/prompt_cache.js";

export function CacheBreak({ cache }) {
  return html`
    <p class="text cache-break">
      <b>${breakOf(cache.broke)}</b> ${whole(cache.lost_tokens)} tokens were paid for again: ${lossOf(cache)}. ${cureOf(cache.broke)}${" "}
      <a href=${href("interceptions", cache.broke.since)}>The call before</a>
    </p>
  `;
}
