/** An invented company, to try the dashboard: a description, and a button for it. For owners. */

import { html } from "htm/preact";
import { useInvented } from "../../frame/invented.js";
import { Failure, Loading, NotForYou } from "../../parts/states.js";
import { href } from "../../frame/router.js";

export function Examples({ user }) {
  if (user.role !== "owner") return html`<${NotForYou} what="this" who="owners" />`;
  return html`<${About} />`;
}

function About() {
  const { data, busy, error, change } = useInvented();
  if (!data) return html`<${Loading} />`;
  return html`
    <section class="card examples">
      <h2>An invented company</h2>
      <p>25 people in five groups, with up to two months of calls: sessions of Claude Code, Codex, Gemini CLI and SDKs, errors, retries, refusals, and a budget near its end.</p>
      <p class="quiet">Its users are called like ada@example.com. Nothing goes to a provider, and nothing counts for budgets, limits, metrics or alerts of anybody else. What is removed is gone as if it had never been there.</p>
      ${data.state === "none" && html`<p><button type="button" class="primary" disabled=${busy} onClick=${() => change("POST")}>Fill it in</button></p>`}
      ${data.state === "filled" && html`<p><a href=${href("overview", "", { range: "30d" })}>Look at the overview</a></p>`}
      ${error && html`<${Failure} error=${error} />`}
    </section>
  `;
}
