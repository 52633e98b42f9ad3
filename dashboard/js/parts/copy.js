/** Text with a button that copies it. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";

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

/** The way for pages without TLS, where browsers have no clipboard. */
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
