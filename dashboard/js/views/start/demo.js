/** A company to look around in: what it is, and the buttons that fill it in and remove it. For owners. */

import { html } from "htm/preact";
import { DEMO } from "../../frame/demo.js";
import { Track } from "../../parts/figures.js";
import { Failure, Pending } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { plural } from "../../text/format.js";

const PATH = "demo-company";
const EVERY_MS = 1000;

export default function Demo() {
  const { data, error, reload } = useResource(PATH, {}, { every: (one) => (one?.state === "filling" ? EVERY_MS : 0) });
  const changing = useChange();
  const change = (method) => changing.run(() => send(method, PATH).then(reload));
  if (!data) return html`<${Pending} error=${error} retry=${reload} />`;
  const { state, calls, progress } = data;
  const button = (method, text, kind = "") => html`<button type="button" class=${kind} disabled=${changing.busy} onClick=${() => change(method)}>${text}</button>`;
  return html`
    <section class="card demo-card">
      <p>25 invented people in five groups, with two months of calls up to now: sessions of Claude Code, Codex, Gemini CLI and SDKs, errors, retries, refusals, and a budget near its end.</p>
      <p class="quiet">It is in a database of its own, and nothing of it is among your own records. Filling it in takes about half a minute.</p>
      ${state === "filling" && html`<p role="status">${plural(calls, "call")} so far …</p><${Track} label="Progress of the demo company" value=${progress} max=${1} />`}
      ${state === "filled" && html`<p><a class="primary" href=${`${DEMO}#/overview?range=30d`}>Look around</a></p>`}
      <p class="buttons flow">
        ${state !== "filling" && button("POST", state === "filled" ? "Fill it in anew" : "Fill it in", state === "none" ? "primary" : "")}
        ${state !== "none" && button("DELETE", "Remove it")}
      </p>
      ${changing.error && html`<${Failure} error=${changing.error} />`}
    </section>
  `;
}
