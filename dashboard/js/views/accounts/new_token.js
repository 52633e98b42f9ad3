/** A token that is to be, and one that has just been made. */

import { html } from "htm/preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Field, submitting } from "../../parts/forms.js";
import { Failure } from "../../parts/states.js";
import { CopyButton } from "../../parts/texts.js";
import { send } from "../../server/api.js";
import { useChange } from "../../server/resource.js";
import { plural, time } from "../../text/format.js";

const DAY_MS = 86_400_000;
const LIFETIMES = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
  [365, "A year"],
];

/** `path` is the tokens' in the API; `rules` say which tokens who is signed in may create. */
export function NewToken({ path, rules, onCreated }) {
  if (!rules.may_create) return html`<p class="quiet">Only owners may create tokens here. Ask one of them for yours.</p>`;
  return html`<${NewTokenForm} path=${path} rules=${rules} onCreated=${onCreated} />`;
}

/** No token outlives the one that it is made with. */
function lifetimes(expireBy) {
  const days = expireBy === null ? Infinity : (Date.parse(expireBy) - Date.now()) / DAY_MS;
  const shorter = LIFETIMES.filter(([number]) => number < days).map(([number, text]) => [`${number}d`, text]);
  return [...shorter, ["", expireBy === null ? "Never" : `With yours, ${time(expireBy)}`]];
}

function NewTokenForm({ path, rules: { limit, expire_by: expireBy }, onCreated }) {
  const options = lifetimes(expireBy);
  const [name, setName] = useState("");
  const [expires, setExpires] = useState(options.some(([value]) => value === "90d") ? "90d" : "");
  const { busy, error, run } = useChange();
  const create = async () => {
    onCreated(await send("POST", path, { name, ...(expires && { expires }) }));
    setName("");
  };
  return html`
    <form class="form across" onSubmit=${submitting(() => run(create))}>
      <${Field} label="What is it for?" placeholder="laptop" value=${name} onText=${setName} required />
      <${Field} label="Expires after" value=${expires} options=${options} onText=${setExpires} />
      <button type="submit" class="primary" disabled=${busy}>Create token</button>
    </form>
    ${limit !== null && html`<p class="quiet">You may have ${plural(limit, "active token")}.</p>`}
    ${error && html`<${Failure} error=${error} />`}
  `;
}

/** The token itself, which only the response to its creation has. */
export function CreatedToken({ token: { name, token }, onDone }) {
  const heading = useRef(null);
  useLayoutEffect(() => heading.current.focus(), []);
  return html`
    <section class="created" aria-label="New token">
      <h3 ref=${heading} tabindex="-1">Copy it now: it will not be shown again</h3>
      <p>This is ${name ? `“${name}”` : "the token"}. Treat it like a password: whoever has it calls in its user's name.</p>
      <p class="secret"><code>${token}</code> <${CopyButton} text=${token} what="token" /></p>
      <button type="button" onClick=${onDone}>Done</button>
    </section>
  `;
}
