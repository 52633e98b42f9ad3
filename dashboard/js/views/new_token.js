/** A token that is to be, and one that has just been made. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { send } from "../api.js";
import { CopyButton } from "../parts/copy.js";
import { ChoiceField, TextField } from "../parts/field.js";
import { Failure } from "../parts/states.js";
import { useChange } from "../resource.js";

const LIFETIMES = [
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["90d", "90 days"],
  ["365d", "A year"],
  ["", "Never"],
];

/** `path` is the tokens' in the API. */
export function NewToken({ path, onCreated }) {
  const [name, setName] = useState("");
  const [expires, setExpires] = useState("90d");
  const { busy, error, run } = useChange();
  const create = async () => {
    onCreated(await send("POST", path, { name, ...(expires && { expires }) }));
    setName("");
  };
  const submit = (event) => {
    event.preventDefault();
    run(create);
  };
  return html`
    <form class="form across" onSubmit=${submit}>
      <${TextField} label="What is it for?" placeholder="laptop" value=${name} onText=${setName} required />
      <${ChoiceField} label="Expires after" value=${expires} options=${LIFETIMES} onChoose=${setExpires} />
      <button type="submit" class="primary" disabled=${busy}>Create token</button>
    </form>
    ${error && html`<${Failure} error=${error} />`}
  `;
}

/** The token itself, which only its creation's answer has. */
export function CreatedToken({ token: { name, token }, onDone }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []);
  return html`
    <section class="created" aria-label="New token">
      <h3 ref=${heading} tabindex="-1">Copy it now: it will not be shown again</h3>
      <p>This is ${name ? `“${name}”` : "the token"}. Treat it like a password: whoever has it calls in its user's name.</p>
      <p class="secret"><code>${token}</code> <${CopyButton} text=${token} what="token" /></p>
      <button type="button" onClick=${onDone}>Done</button>
    </section>
  `;
}
