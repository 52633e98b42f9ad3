/** The rules of policies for a user, besides limits: models, sizes, keys, recording; and whether a model may be used. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Field, submitting } from "../../parts/forms.js";
import { Failure, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { plural, whole } from "../../text/format.js";
import { sourceText } from "../../text/limits_text.js";
import { LimitRules } from "./gauges.js";
import { patternsText } from "./policy_form.js";

// What of, in words, and what holds where no policy says it.
const KEPT = [
  ["prompts", "prompts", "full"],
  ["tool_inputs", "tool inputs", "full"],
  ["thoughts", "thoughts", "full"],
  ["responses", "responses", "none"],
  ["errors", "messages of errors", "full"],
];

/** `of` is the username, or `me`; with `limits` the limits are shown too. */
export function Explained({ of, limits = false }) {
  const [typed, setTyped] = useState("");
  const [model, setModel] = useState("");
  const path = `users/${encodeURIComponent(of)}/policy`;
  const { data, error, reload } = useResource(path);
  const asked = useResource(model && path, { model });
  if (!data) return html`<${Pending} error=${error} retry=${reload} />`;
  return html`
    <p class="quiet">
      ${data.policies.length ? `${plural(data.policies.length, "policy")}: ${data.policies.map(({ level, name }) => (name ? `${level} ${name}` : level)).join(", ")}.` : "No policy applies."}
    </p>
    <${Rules} policy=${data} />
    ${limits && html`<${LimitRules} rules=${data.limits} none="No limit holds but those of the whole server." />`}
    <form class="form across stack" onSubmit=${submitting(() => setModel(typed.trim()))}>
      <${Field} label="May this model be used?" value=${typed} placeholder="gpt-5" autocapitalize="off" onText=${setTyped} />
      <button type="submit">Ask</button>
    </form>
    ${asked.error && html`<${Failure} error=${asked.error} />`}
    <div role="status">
      <ul class="decisions stack">
        ${asked.data?.decisions.map(({ provider, allowed, rule }) => html`<li key=${provider}><b class=${allowed ? "" : "bad"}>${allowed ? "Yes" : "No"}</b> ${asked.data.model} of ${provider}${rule && `: ${rule}`}</li>`)}
      </ul>
    </div>
  `;
}

function Rules({ policy: { models, max_tokens: most, own_key_denied_by: denied, recording } }) {
  const lines = [
    ...models.flatMap(({ source, allow, deny, unpriced }) => [
      allow && [`Models allowed`, patternsText(allow).replaceAll("\n", ", "), source],
      deny && [`Models denied`, patternsText(deny).replaceAll("\n", ", "), source],
      unpriced === "deny" && ["Models without a price", "denied", source],
    ]),
    most && ["Most output of a request", `${whole(most.maximum)} tokens`, most.source],
    denied && ["A key of one's own", "denied", denied],
    ...(recording ? KEPT.map(([kind, words, usual]) => recording[kind] !== usual && [`Kept of ${words}`, recording[kind], null]) : []),
    recording?.retention && ["Texts are removed after", plural(recording.retention, "day"), null],
    recording?.responses_retention && ["Responses are removed after", plural(recording.responses_retention, "day"), null],
    recording?.patterns.length > 0 && ["Redacted besides", recording.patterns.join(" "), null],
  ].filter(Boolean);
  if (!lines.length) return html`<p class="quiet">Every model may be used; nothing else is restricted.</p>`;
  return html`<dl class="facts">${lines.map(([label, value, source], number) => html`<div key=${number}><dt>${label}</dt><dd>${value} ${source && html`<span class="quiet">${sourceText(source)}</span>`}</dd></div>`)}</dl>`;
}
