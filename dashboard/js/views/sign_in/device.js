/** Allows a program a token: shows a code, and asks whether the user started the program. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { LineForm, takeFocus } from "../../parts/forms.js";
import { Failure } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useChange } from "../../server/resource.js";
import { time } from "../../text/format.js";

const CODE = [{ name: "user_code", label: "The code that it shows", required: true, maxlength: 64, ref: takeFocus }];

/** `route.id` is the code, where a link has it. */
export default function Device({ route }) {
  const [code, setCode] = useState(route.id);
  const [device, setDevice] = useState(null);
  const [decision, setDecision] = useState("");
  const { busy, error, run } = useChange();
  const lookUp = async (given) => {
    setDevice(await send("POST", "device/lookup", given));
    setCode(given.user_code);
  };
  const decide = (answer) =>
    run(async () => {
      await send("POST", "device/answer", { user_code: code, answer });
      setDecision(answer);
    });
  if (decision) {
    return html`<div class="prose stack" role="status">
      <h2>${decision === "allow" ? "Allowed" : "Refused"}</h2>
      <p>${decision === "allow" ? "The program gets its token within seconds. You can close this page." : "The program gets no token."}</p>
    </div>`;
  }
  return html`
    <div class="prose stack">
      ${error && html`<${Failure} error=${error} />`}
      ${device
        ? html`<${Confirmation} code=${code} device=${device} busy=${busy} decide=${decide} />`
        : html`<${LineForm} fields=${CODE} initial=${{ user_code: code }} verb="Continue" keeps act=${lookUp} />`}
    </div>
  `;
}

function Confirmation({ code, device, busy, decide }) {
  return html`
    <p>A program wants to call AI providers as you. Compare the code with the one that it shows:</p>
    <h2 class="code">${code.toUpperCase()}</h2>
    <p>
      It calls itself <b>${device.name}</b>, and asked from <code>${device.client_ip}</code> at ${time(device.created_at)}. Allow it only
      if you started it yourself a moment ago: somebody else who sent you this code or a link would get your token.
    </p>
    <p class="flow">
      <button type="button" class="primary" disabled=${busy} onClick=${() => decide("allow")}>Allow</button>
      <button type="button" disabled=${busy} onClick=${() => decide("deny")}>Refuse</button>
    </p>
  `;
}
