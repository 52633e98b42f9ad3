/** The filters of a view: a chip each, and a line that adds one. */

import { html } from "htm/preact";
import { useRef, useState } from "preact/hooks";
import { useKeys } from "../frame/keys.js";
import { seesEveryone } from "../frame/registry.js";
import { href } from "../frame/router.js";
import { ConfirmButton, submitting } from "../parts/forms.js";
import { Failure } from "../parts/states.js";
import { send } from "../server/api.js";
import { useKept } from "../server/resource.js";
import { time } from "../text/format.js";
import { completions, holdsSecret, idOf, isSearchable, isToken, searchFor, terms } from "./query.js";

const MAX_NAMES = 1000;
const NAMES = { model: "models", provider_name: "providers", client: "clients" };
const OF_PEOPLE = ["users", "groups"];
/** Where further values of a key are, with what is asked and how they are read. */
const VALUES = [
  ["tag", "tags", {}, (tags) => tags.map((name) => `${name}=`)],
  ["user", "users", {}, ({ results }) => results.map(({ username }) => username)],
  ["group", "groups", {}, ({ results }) => results.map(({ name }) => name)],
  ...["tool", "error_type"].map((by) => [by.replace("_type", ""), "stats", { range: "30d", group_by: by }, ({ groups }) => groups.map(({ group }) => group[by])]),
];

/**
 * `onSearch` is called with the whole search. With `known` it is one for calls, whose keys and values are completed. `example` says what
 * may be written.
 */
export function Search({ q, user, onSearch, example, known }) {
  const [text, setText] = useState("");
  const [refused, setRefused] = useState(false);
  const [isUsed, setUsed] = useState(false);
  const found = useFoundToken();
  const values = useKnown(user, isUsed && known);
  const line = useRef(null);
  const all = terms(q);
  useKeys({ "/": () => line.current.focus() });
  const without = (index) => all.filter((_, at) => at !== index).map((term) => term.text).join(" ");
  const submit = submitting(() => {
    const added = text.trim();
    const secret = holdsSecret(added);
    const mayLook = user.role === "owner" && isToken(added);
    setRefused(secret && !mayLook);
    found.forget();
    setText("");
    if (mayLook) found.lookUp(added);
    else if (!secret && added) onSearch(idOf(added) ? added : [q, added].filter(Boolean).join(" "));
  });
  const remove = (index) => {
    onSearch(without(index));
    line.current.focus();
  };
  // The last chip becomes text again, so that it can be corrected.
  const takeBack = (event) => {
    if (event.key !== "Backspace" || text || !all.length) return;
    event.preventDefault();
    setText(all.at(-1).text);
    onSearch(without(all.length - 1));
  };
  return html`
    <form class="chips flow" role="search" onSubmit=${submit}>
      ${all.map(
        (term, index) =>
          html`<span class="chip" key=${`${index}${term.text}`}>${term.text}<button type="button" class="plain" aria-label=${`Without ${term.text}`} onClick=${() => remove(index)}>×</button></span>`,
      )}
      <input
        id="q"
        ref=${line}
        type="search"
        aria-label=${all.length ? "Add a filter" : "Search"}
        placeholder=${all.length ? "Add a filter" : `Search: ${example}`}
        spellcheck=${false}
        autocomplete="off"
        autocapitalize="off"
        list=${known ? "completions" : undefined}
        value=${text}
        onInput=${({ target }) => setText(target.value)}
        onKeyDown=${takeBack}
        onFocus=${() => setUsed(true)}
      />
      ${known && html`<datalist id="completions">${completions(text, values).map(({ text: value, label }) => html`<option key=${value} value=${value} label=${label} />`)}</datalist>`}
    </form>
    ${
      refused &&
      html`<p class="failure" role="alert">
        That looks like a token or a key, so it was not searched for: a secret must not stand in an address. Owners are told whose a
        token of the bridge is; its calls are found by the part before its hyphen, as in <code>token:ID</code>.
      </p>`
    }
    ${found.shown}
  `;
}

/** Recorded values, by key. */
export function useNames(wanted = true) {
  const found = Object.entries(NAMES).map(([key, path]) => [key, useKept(wanted ? path : null, { limit: 200 })]);
  return Object.fromEntries(found.map(([key, names]) => [key, (names ?? []).filter(isSearchable)]));
}

/** Values that complete a key, by key, once they are wanted. */
function useKnown(user, isWanted) {
  const names = useNames(isWanted);
  const values = VALUES.map(([key, path, params, read]) => {
    const found = useKept(isWanted && (seesEveryone(user) || !OF_PEOPLE.includes(path)) ? path : null, { ...params, limit: MAX_NAMES });
    return [key, found ? read(found).filter(Boolean) : []];
  });
  return { ...names, ...Object.fromEntries(values) };
}

/** Looks up tokens; `lookUp` takes the text of one, and `shown` is what is known of the last. */
function useFoundToken() {
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
  if (error) return html`<${Failure} error=${error} />`;
  const { id, name, user, last_used_at: used, last_client: client, last_client_ip: address, revoked_at: revoked, expires_at: expires } = token;
  const over = revoked || (expires && Date.parse(expires) <= Date.now());
  const revoke = () => send("DELETE", `tokens/${encodeURIComponent(id)}`).then(onRevoked);
  return html`
    <section class="card found-token" aria-label="The token">
      <p role="status">
        This is <b>${name || "a token without a name"}</b> (<code>${id}</code>) of <a href=${href("users", user.username)}>${user.username}</a>.${" "}
        ${used ? `It was last used ${time(used)} by ${client} at ${address}.` : "It was never used."}${" "}
        ${over && html`<b>${revoked ? `It was revoked ${time(revoked)}.` : `It expired ${time(expires)}.`}</b>`}
      </p>
      <p>
        ${!over &&
        html`<${ConfirmButton} text="Revoke" title=${`Revoke ${name || "this token"}?`} act=${revoke}>
          <p>Whatever uses <code>${id}</code> is let in no more, within seconds. This cannot be undone.</p>
        <//>`}${" "}
        <a href=${href("interceptions", "", { q: searchFor({ token: id }) })}>Its calls</a>${" "}
        <button type="button" class="plain" onClick=${onClose}>Close</button>
      </p>
    </section>
  `;
}
