/** The keys of the bridge that a provider refuses, on every view: nothing else shows why all calls fail. */

import { html } from "htm/preact";
import { useResource } from "../server/resource.js";
import { plural, time } from "../text/format.js";
import { href } from "./router.js";

const EVERY_MS = 15_000;

export function RefusedKeys() {
  const { data } = useResource("providers/configured", {}, { every: EVERY_MS });
  const refused = (data ?? []).flatMap(({ name, keys }) => keys.filter((key) => key.refused).map((key) => ({ name, ...key })));
  return refused.map(
    ({ name, hint, setting, refused: { status, since, calls } }) => html`
      <p class="refused-key" role="alert" key=${name + hint}>
        <strong>${name}</strong>: key <code>${hint.replace("...", "…")}</code> refused (${status}) since ${time(since)}; ${plural(calls, "call")}.
        ${" "}<span class="quiet">${setting ? html`Setting: <code>${setting}</code>` : html`<a href=${href("providers", name)}>Look at its keys</a>`}</span>
      </p>
    `,
  );
}
