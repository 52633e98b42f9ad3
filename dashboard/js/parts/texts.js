/** Texts for reading: with a button that copies them, and as JSON. */

import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { layOut } from "../text/json_text.js";

const SAID_MS = 1500;

/** A button that copies `text`; `what` says to whom cannot see it what that is. */
export function CopyButton({ text, what }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid(copyBySelection(text) ? "Copied" : "Not allowed");
    }
  };
  return html`<button type="button" class="copy" onClick=${copy} aria-label=${said || `Copy ${what}`}>${said || "Copy"}</button>`;
}

/** A secret that only this answer has: `heading` is its title, which has the focus, children say what it is. */
export function Created({ label, heading, secret, what, onDone, children }) {
  const title = useRef(null);
  useLayoutEffect(() => title.current?.focus(), []);
  return html`
    <section class="created stack" aria-label=${label}>
      ${heading && html`<h2 ref=${title} tabindex="-1">${heading}</h2>`}
      <p>${children}</p>
      <p class="secret"><code>${secret}</code> <${CopyButton} text=${secret} what=${what} /></p>
      ${onDone && html`<button type="button" onClick=${onDone}>Done</button>`}
    </section>
  `;
}

/** The way for pages without TLS, where browsers have no clipboard. */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "said";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

/** JSON indented; any other text unchanged. */
export function Json({ text }) {
  const shown = useMemo(() => layOut(text), [text]);
  return html`<pre class="json" tabindex="0">${shown}</pre>`;
}
