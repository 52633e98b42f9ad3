/** The filters of a view: a chip each, and a line that adds one. */

import { html } from "htm/preact";
import { useRef, useState } from "preact/hooks";
import { useKeys } from "../frame/keys.js";
import { submitting } from "../parts/forms.js";
import { useFoundToken } from "./found_token.js";
import { useKnown } from "./known.js";
import { completions, holdsSecret, idOf, isToken, terms } from "./query.js";

/**
 * `onSearch` is called with the whole search; `known` has values that complete a key, or is `true`, see `useKnown`. `example` says
 * what may be written.
 */
export function Search({ q, user, onSearch, example, known }) {
  const [text, setText] = useState("");
  const [refused, setRefused] = useState(false);
  const [isUsed, setUsed] = useState(false);
  const found = useFoundToken();
  const values = useKnown(known, user, isUsed && Boolean(known));
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
    <form class="chips" role="search" onSubmit=${submit}>
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
