/** A line on every view while an invented company is shown; filled in and removed by owners. */

import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { send } from "../server/api.js";
import { percent, plural } from "../text/format.js";
import { useChange, useResource } from "../server/resource.js";
import { Failure } from "../parts/states.js";
import { Track } from "../parts/track.js";

const PATH = "examples";
const WORKING_MS = 1000;
const EVERY_MS = 60_000;
const CHANGED = "aibridge:examples-changed";
const WORKING = ["filling", "removing"];

/** The state of the invented company, kept up to date; `change` requests it (POST) or its removal (DELETE). */
export function useInvented() {
  const { data, reload } = useResource(PATH, {}, { every: (one) => (WORKING.includes(one?.state) ? WORKING_MS : EVERY_MS) });
  const { busy, error, run } = useChange();
  useEffect(() => {
    addEventListener(CHANGED, reload);
    return () => removeEventListener(CHANGED, reload);
  }, []);
  const change = (method) => run(() => send(method, PATH).then(() => dispatchEvent(new Event(CHANGED))));
  return { data, busy, error, change };
}

export function Invented({ user }) {
  const { data, busy, error, change } = useInvented();
  if (!data || data.state === "none") return null;
  const { state, calls, progress } = data;
  return html`
    <div class="invented">
      <p role="status">
        <strong>${{ filling: "An invented company is being filled in.", filled: "Figures of an invented company are shown.", removing: "The invented company is being removed." }[state]}</strong>
        ${state === "filling" && html` <span class="quiet">${plural(calls, "call")}, ${percent(progress, 1)}</span>`}
      </p>
      ${state === "filling" && html`<${Track} label="Progress of the invented company" value=${progress} max=${1} />`}
      ${user.role === "owner" && state !== "removing" && html`<button type="button" disabled=${busy} onClick=${() => change("DELETE")}>Remove the invented company</button>`}
      ${error && html`<${Failure} error=${error} />`}
    </div>
  `;
}
