/** The owner and last use of a pasted token, and a button that revokes it. The token itself is in no address and no state. */

import { html } from "htm/preact";
import { useRef, useState } from "preact/hooks";
import { href } from "../frame/router.js";
import { Confirm } from "../parts/forms.js";
import { Failure } from "../parts/states.js";
import { send } from "../server/api.js";
import { time } from "../text/format.js";
import { searchFor } from "./query.js";

/** Looks up tokens; `lookUp` takes the text of one, and `shown` is what is known of the last. */
export function useFoundToken() {
  const [state, setState] = useState(null);
  const latest = useRef(0);
  const forget = () => {
    latest.current += 1;
    setState(null);
  };
  const lookUp = (text) => {
    forget();
    const number = latest.current;
    const show = (found) => number === latest.current && setState(found);
    return send("POST", "tokens/lookup", { token: text }).then(
      (token) => show({ token }),
      (error) => show({ error }),
    );
  };
  const revoked = () => setState(({ token }) => ({ token: { ...token, revoked_at: new Date().toISOString() } }));
  return { lookUp, forget, shown: state && html`<${FoundToken} ...${state} onRevoked=${revoked} onClose=${forget} />` };
}

function FoundToken({ token, error, onRevoked, onClose }) {
  const [revoking, setRevoking] = useState(false);
  if (error) return html`<${Failure} error=${error} />`;
  const { id, name, user, last_used_at: used, last_client: client, last_client_ip: address, revoked_at: revoked, expires_at: expires } = token;
  const over = revoked || (expires && Date.parse(expires) <= Date.now());
  const revoke = async () => {
    await send("DELETE", `tokens/${encodeURIComponent(id)}`);
    setRevoking(false);
    onRevoked();
  };
  return html`
    <section class="found-token" aria-label="The token">
      <p role="status">
        This is <b>${name || "a token without a name"}</b> (<code>${id}</code>) of <a href=${href("users", user.username)}>${user.username}</a>.${" "}
        ${used ? `It was last used ${time(used)} by ${client} at ${address}.` : "It was never used."}${" "}
        ${over && html`<b>${revoked ? `It was revoked ${time(revoked)}.` : `It expired ${time(expires)}.`}</b>`}
      </p>
      <p>
        ${!over && html`<button type="button" class="danger" onClick=${() => setRevoking(true)}>Revoke</button>`}${" "}
        <a href=${href("interceptions", "", { q: searchFor({ token: id }) })}>Its calls</a>${" "}
        <button type="button" class="plain" onClick=${onClose}>Close</button>
      </p>
      ${revoking &&
      html`<${Confirm} title=${`Revoke ${name || "this token"}?`} verb="Revoke" act=${revoke} onClose=${() => setRevoking(false)}>
        <p>Whatever uses <code>${id}</code> is let in no more, within seconds. This cannot be undone.</p>
      <//>`}
    </section>
  `;
}
