/** The fields of a policy that most people need; all others are in its JSON. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { AreaField, ChoiceField, TextField } from "../../parts/field.js";
import { fieldAt, limitOf, patternsOf, patternsText, slotsOf, slotsText, withField } from "./policy_form.js";

const PERIODS = [
  ["", "–"],
  ["day", "a day"],
  ["week", "a week"],
  ["month", "a month"],
];
const BYOK = [
  ["", "not restricted here"],
  ["deny", "denied"],
];
const KEPT = [
  ["", "not restricted here"],
  ["full", "all"],
  ["redacted", "redacted"],
  ["hashed", "a hash"],
  ["none", "nothing"],
];
const TEXTS = [
  ["prompts", "Prompts"],
  ["tool_inputs", "Inputs of tools"],
  ["thoughts", "Thoughts"],
];
const RESPONSES = [["", "not recorded, unless another policy says so"], ...KEPT.slice(1)];
const OF_RESPONSES = "The text that a model responds with, and messages of errors. If no policy says it, only messages of errors are recorded.";

const RETENTIONS = [
  ["retention", "Days after which texts are removed"],
  ["responses_retention", "Days for responses, if fewer"],
];

/** `shared`: the policy is of many, and has limits in two parts. `onPolicy` gets the policy after each change. */
export function PolicyFields({ policy, shared, onPolicy }) {
  const set = (path, value) => onPolicy(withField(policy, path, value));
  const parts = shared
    ? [
        ["each_member", "Each member alone"],
        ["together", "All members together"],
      ]
    : [["", "Limits"]];
  return html`
    <${Lines} label="Models allowed" hint="One pattern a line, such as claude-*, or openai: gpt-5*. Nothing else may be used. Empty: all." value=${policy.models?.allow} onLines=${(value) => set(["models", "allow"], value)} />
    <${Lines} label="Models denied" hint="One pattern a line." value=${policy.models?.deny} onLines=${(value) => set(["models", "deny"], value)} />
    ${parts.map(([part, title]) => html`<${Limits} key=${part} title=${title} path=${part ? ["limits", part] : ["limits"]} policy=${policy} onPolicy=${onPolicy} />`)}
    <${TextField} label="Most output tokens of a request" inputmode="numeric" value=${policy.max_tokens ?? ""} onText=${(text) => set(["max_tokens"], slotsOf(text))} />
    <${ChoiceField} label="A key of one's own" value=${policy.byok === "deny" ? "deny" : ""} options=${BYOK} onChoose=${(value) => set(["byok"], value)} />
    <details>
      <summary>What is kept of texts</summary>
      <div class="pairs">${TEXTS.map(([kind, label]) => html`<${ChoiceField} key=${kind} label=${label} value=${fieldAt(policy, ["recording", kind]) ?? ""} options=${KEPT} onChoose=${(value) => set(["recording", kind], value)} />`)}</div>
      <${ChoiceField} label="Responses" hint=${OF_RESPONSES} value=${fieldAt(policy, ["recording", "responses"]) ?? ""} options=${RESPONSES} onChoose=${(value) => set(["recording", "responses"], value)} />
      <div class="pairs">
        ${RETENTIONS.map(([name, label]) => html`<${TextField} key=${name} label=${label} inputmode="numeric" value=${fieldAt(policy, ["recording", name]) ?? ""} onText=${(text) => set(["recording", name], slotsOf(text))} />`)}
      </div>
    </details>
  `;
}

/** As they were typed, with blank lines and spaces, until the JSON says something else. */
function Lines({ label, hint, value = [], onLines }) {
  const [typed, setTyped] = useState("");
  const shown = JSON.stringify(patternsOf(typed)) === JSON.stringify(value) ? typed : patternsText(value);
  const put = (text) => {
    setTyped(text);
    onLines(patternsOf(text));
  };
  return html`<${AreaField} label=${label} hint=${hint} rows="2" value=${shown} onText=${put} />`;
}

function Limits({ title, path, policy, onPolicy }) {
  const limits = fieldAt(policy, path) ?? {};
  const put = (kind, value) => onPolicy(withField(policy, [...path, kind], value));
  const pair = (kind, names) => (name) => (text) => put(kind, limitOf(limits[kind], name, text, names));
  const rate = pair("rate", ["requests", "window"]);
  const tokens = pair("tokens", ["count", "window"]);
  const budget = pair("budget", ["usd", "period"]);
  return html`
    <fieldset class="pairs">
      <legend>${title}</legend>
      <${TextField} label="Calls at a time" inputmode="numeric" value=${slotsText(limits.concurrency)} onText=${(text) => put("concurrency", slotsOf(text, limits.concurrency))} />
      <span></span>
      <${TextField} label="Calls" inputmode="numeric" value=${limits.rate?.requests ?? ""} onText=${rate("requests")} />
      <${TextField} label="in a window of" placeholder="1m" value=${limits.rate?.window ?? ""} onText=${rate("window")} />
      <${TextField} label="Tokens" inputmode="numeric" value=${limits.tokens?.count ?? ""} onText=${tokens("count")} />
      <${TextField} label="in a window of" placeholder="1h" value=${limits.tokens?.window ?? ""} onText=${tokens("window")} />
      <${TextField} label="Budget in US dollars" inputmode="decimal" value=${limits.budget?.usd ?? ""} onText=${budget("usd")} />
      <${ChoiceField} label="a period of" value=${limits.budget?.period ?? ""} options=${PERIODS} onChoose=${budget("period")} />
    </fieldset>
  `;
}
