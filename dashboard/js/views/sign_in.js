/** A token, please. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { signIn } from "../api.js";
import { Failure } from "../parts/states.js";
import { useChange } from "../resource.js";

/** `refusal` says why a link did not sign in, null if there was none. */
export function SignIn({ refusal, onSignedIn }) {
  const [token, setToken] = useState("");
  const { busy, error, run } = useChange();
  useEffect(() => {
    document.title = "Sign in · AI Bridge";
  }, []);
  const submit = (event) => {
    event.preventDefault();
    run(() => signIn({ token }).then(onSignedIn));
  };
  return html`
    <main class="gate">
      <img src="dashboard/icon.svg" alt="" width="44" height="44" />
      <h1>AI Bridge</h1>
      <form onSubmit=${submit}>
        <input type="text" autocomplete="username" value="AI Bridge" readonly hidden />
        <label for="token">Your token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          spellcheck=${false}
          required
          autofocus
          value=${token}
          aria-describedby="token-help"
          onInput=${(event) => setToken(event.target.value)}
        />
        <button type="submit" class="primary" disabled=${busy}>Sign in</button>
      </form>
      ${(error ?? refusal) && html`<${Failure} error=${error ?? refusal} />`}
      <p id="token-help" class="quiet">
        The token that your AI client uses, like <code>TcBR7S3hnb-…</code>. An operator creates one with${" "}
        <code>python server.py tokens create NAME</code>; after <code>make run</code> without a provider key it is in${" "}
        <code>data/demo-token</code>.
      </p>
    </main>
  `;
}
