/** Keys without a modifier that do something on a view, unless one is writing or a dialog is open. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { go } from "./router.js";

/** Call what `actions` has for a key, or for two in turn: `{j: down, "g s": sessions, Escape: close}`. Escape works while writing, too. */
export function useKeys(actions) {
  // Not a state: the second key may come before what the first one changes is drawn.
  const before = useRef("");
  // Before the next key: an effect that waits for a paint would leave the last view its keys.
  useLayoutEffect(() => {
    const press = (event) => {
      const action = actions[`${before.current} ${event.key}`] ?? actions[event.key];
      before.current = "";
      if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.key !== "Escape" && event.target.closest?.("input, select, textarea")) return;
      before.current = event.key;
      if (!action) return;
      event.preventDefault();
      action(event);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}

/** Move the focus among the elements that match, by a number of them. Begins at the one that is open, else at the first. */
function moveFocus(selector, by) {
  const all = [...document.querySelectorAll(selector)];
  const focused = all.indexOf(document.activeElement);
  const at = focused < 0 ? all.findIndex((one) => one.ariaCurrent === "true") : focused;
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** The keys of a list that may show one row opened. Returns what closes that: it goes to `address`, and the focus to the row. */
export function useOpenRow(selector, isOpen, address) {
  const close = () => {
    const row = document.querySelector(`${selector}[aria-current="true"]`);
    go(address);
    requestAnimationFrame(() => row?.focus());
  };
  const down = () => moveFocus(selector, 1);
  const up = () => moveFocus(selector, -1);
  useKeys({ j: down, ArrowDown: down, k: up, ArrowUp: up, ...(isOpen ? { Escape: close } : {}) });
  return close;
}
