/** How one gets in: at the operator's provider, or with a token. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { submitting, takeFocus } from "../../parts/forms.js";
import { Failure } from "../../parts/states.js";
import { ApiError, signIn } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";

// Why the provider's sign-in did not work, by the word that the server puts into the address.
const REFUSALS = {
  cancelled: "You did not sign in there.",
  ended: "This sign-in was not begun in this browser, or took longer than ten minutes. Please sign in again.",
  provider: "The provider's answer was not accepted. Please sign in again; if that does not help, ask an owner: the server's log says why.",
  unavailable: "The provider cannot be reached at the moment. Please try again later.",
  database: "The database cannot be reached at the moment. Please try again later.",
  not_allowed: "You may not sign in here: your mail address is missing, not verified, or of another domain. Please ask an owner.",
  removed: "Your user was removed. Please ask an owner.",
  name_taken: "There is a user of your name already who does not sign in this way. Please ask an owner.",
  name_not_allowed: "Your name there cannot be a username here. Please ask an owner.",
  too_many: "Too many sign-ins from this address failed. Please try again in a minute.",
};

/** Say why a sign-in elsewhere did not work; null without a word that is known. */
export function whyRefused(word) {
  return Object.hasOwn(REFUSALS, word) ? new ApiError(0, REFUSALS[word]) : null;
}

/** `refusal` says why a link or a provider did not sign in, null if there was none. */
export function SignIn({ refusal, onSignedIn }) {
  const known = useResource("sign-in");
  const ways = known.data ?? (known.error ? { token: true, openid: null } : null);
  const { busy, error, run } = useChange();
  useEffect(() => {
    document.title = "Sign in · AI Bridge";
  }, []);
  const failure = error ?? refusal;
  return html`
    <main class="gate stack">
      <img src="dashboard/icon.svg" alt="" width="44" height="44" />
      <h1>AI Bridge</h1>
      ${failure && html`<${Failure} error=${failure} />`}
      ${ways?.openid && html`<a class="primary" href=${begin(ways.openid)}>Sign in with ${ways.openid.name}</a>`}
      ${ways?.openid && ways.token && html`<p class="quiet">or</p>`}
      ${ways?.token && html`<${TokenForm} busy=${busy} focus=${!ways.openid} onToken=${(token) => run(() => signIn({ token }).then(onSignedIn))} />`}
    </main>
  `;
}

function TokenForm({ busy, focus, onToken }) {
  const [token, setToken] = useState("");
  return html`
    <form class="stack" onSubmit=${submitting(() => onToken(token))}>
      <input type="text" autocomplete="username" value="AI Bridge" readonly hidden />
      <label for="token">Your token</label>
      <input
        id="token"
        type="password"
        autocomplete="current-password"
        spellcheck=${false}
        required
        ref=${focus ? takeFocus : undefined}
        value=${token}
        aria-describedby="token-help"
        onInput=${(event) => setToken(event.target.value)}
      />
      <button type="submit" class=${focus ? "primary" : ""} disabled=${busy}>Sign in</button>
    </form>
    <p id="token-help" class="quiet">
      The token that your AI client uses, like <code>TcBR7S3hnb-…</code>. An operator creates one with${" "}
      <code>python server.py tokens create NAME</code>; after <code>make run</code> without a provider key it is in${" "}
      <code>data/demo-token</code>.
    </p>
  `;
}

/** Where the provider's sign-in begins; it ends at the view that is wanted now. */
function begin({ path }) {
  const url = new URL(path.slice(1), document.baseURI);
  url.searchParams.set("view", location.hash.replace(/^#\/?/, ""));
  return url;
}
