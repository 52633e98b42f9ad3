/** Where the prompt cache broke at a call, what that cost, and what usually helps. */

import { html } from "htm/preact";
import { whole } from "../format.js";
import { breakOf, cureOf, lossOf } from "../prompt_cache.js";
import { href } from "../router.js";

export function CacheBreak({ cache }) {
  return html`
    <p class="text cache-break">
      <b>${breakOf(cache.broke)}</b> ${whole(cache.lost_tokens)} tokens were paid for again: ${lossOf(cache)}. ${cureOf(cache.broke)}${" "}
      <a href=${href("interceptions", cache.broke.since)}>The call before</a>
    </p>
  `;
}
