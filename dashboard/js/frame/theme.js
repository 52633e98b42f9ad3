/** Light, dark, or as the system has it. */

import { useEffect, useState } from "preact/hooks";

const KEY = "aibridge-theme";
const CHANGED = "aibridge:theme";
export const THEMES = ["system", "light", "dark"];

/** What was chosen; `system` where nothing was. */
function chosenTheme() {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system"; // a browser may keep nothing
  }
}

/** Choose, for this browser. */
export function chooseTheme(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is left.
  }
  showTheme(theme);
}

/** Show the page so. */
export function showTheme(theme = chosenTheme()) {
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
  dispatchEvent(new CustomEvent(CHANGED, { detail: theme }));
}

/** The theme that is shown, and a number that changes with every colour on the page. */
export function useTheme() {
  const [state, setState] = useState({ theme: chosenTheme(), version: 0 });
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = ({ detail }) => setState(({ theme, version }) => ({ theme: detail ?? theme, version: version + 1 }));
    addEventListener(CHANGED, follow);
    dark.addEventListener("change", follow);
    return () => {
      removeEventListener(CHANGED, follow);
      dark.removeEventListener("change", follow);
    };
  }, []);
  return state;
}

/** A colour of the style sheets as a canvas understands it. */
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
