/** The fields of a policy that most people need; all others are in its JSON. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Field } from "../../parts/forms.js";
import { itemsOf } from "../../text/format.js";
import { COLLECTOR, fieldAt, limitOf, linesText, patternsOf, patternsText, slotsOf, slotsText, telemetryOf, withField } from "./policy_form.js";

const PATTERNS = { rows: 2, read: patternsOf, write: patternsText };
const NUMBER = { inputmode: "numeric", read: slotsOf, write: slotsText };
/** One of the two fields of a limit. */
const half = (kind, names, name) => ({ path: [kind], read: (text, limit) => limitOf(limit, name, text, names), write: (limit) => String(limit?.[name] ?? "") });
const RATE = ["rate", ["requests", "window"]];
const TOKENS = ["tokens", ["count", "window"]];
const BUDGET = ["budget", ["usd", "period"]];
const PERIODS = { "": "–", day: "a day", week: "a week", month: "a month", total: "all time" };
const KEPT = { "": "not restricted here", full: "all", redacted: "redacted", hashed: "a hash", none: "nothing" };
const RESPONSES = { ...KEPT, "": "not recorded, unless another policy says so" };

const MODELS = [
  { path: ["models", "allow"], label: "Models allowed", hint: "One pattern a line, such as claude-*, or openai: gpt-5*. Nothing else may be used. Empty: all.", ...PATTERNS },
  { path: ["models", "deny"], label: "Models denied", hint: "One pattern a line.", ...PATTERNS },
];
const LIMITS = [
  { path: ["concurrency"], label: "Calls at a time", ...NUMBER },
  null,
  { ...half(...RATE, "requests"), label: "Calls", inputmode: "numeric" },
  { ...half(...RATE, "window"), label: "in a window of", placeholder: "1m" },
  { ...half(...TOKENS, "count"), label: "Tokens", inputmode: "numeric" },
  { ...half(...TOKENS, "window"), label: "in a window of", placeholder: "1h" },
  { ...half(...BUDGET, "usd"), label: "Budget in US dollars", inputmode: "decimal" },
  { ...half(...BUDGET, "period"), label: "a period of", options: Object.entries(PERIODS) },
];
const REQUESTS = [
  { path: ["max_tokens"], label: "Most output tokens of a request", ...NUMBER },
  { path: ["byok"], label: "A key of one's own", options: [["", "not restricted here"], ["deny", "denied"]] },
];
const TEXTS = [
  { path: ["recording", "prompts"], label: "Prompts", options: Object.entries(KEPT) },
  { path: ["recording", "tool_inputs"], label: "Inputs of tools", options: Object.entries(KEPT) },
  { path: ["recording", "thoughts"], label: "Thoughts", options: Object.entries(KEPT) },
];
const OF_RESPONSES = [
  { path: ["recording", "responses"], label: "Responses", hint: "What a model responds, and messages of errors. If no policy says it, only messages of errors are recorded.", options: Object.entries(RESPONSES) },
];
const RETENTIONS = [
  { path: ["recording", "retention"], label: "Days after which texts are removed", ...NUMBER },
  { path: ["recording", "responses_retention"], label: "Days for responses, if fewer", ...NUMBER },
];
const LINES = { rows: 2, read: (text) => itemsOf(text, "\n"), write: linesText };
const MANAGED = [
  { path: ["permissions", "deny"], label: "Tools denied", hint: "One rule a line, such as Read(.env). The same for those below.", ...LINES },
  { path: ["permissions", "ask"], label: "Tools to ask for", ...LINES },
  { path: ["permissions", "allow"], label: "Tools allowed without asking", ...LINES },
  { path: ["model"], label: "Usual model", placeholder: "claude-opus-4-8" },
  { path: ["availableModels"], label: "Models offered", hint: "One a line. Empty: those that policies allow by their whole names, if they do.", ...LINES },
  { path: ["companyAnnouncements"], label: "Announcements at its start", hint: "One a line.", ...LINES },
  { path: ["env"], label: "Telemetry to", placeholder: "https://collector.example:4318", read: telemetryOf, write: (env) => env?.[COLLECTOR] ?? "" },
  { path: ["env", "CLAUDE_CODE_GATEWAY_HINT_HEADERS"], label: "Headers that say more of a call", options: [["", "not sent"], ["1", "sent"]] },
];
/** `shared`: the policy is of many, and has limits in two parts. `onPolicy` gets the policy after each change. */
export function PolicyFields({ policy, shared, onPolicy }) {
  const drawn = (fields, within = []) =>
    fields.map((one) => (one ? html`<${PolicyField} key=${within + one.label} ...${one} path=${[...within, ...one.path]} policy=${policy} onPolicy=${onPolicy} />` : html`<span></span>`));
  const limits = (title, part) => html`<fieldset class="pairs"><legend>${title}</legend>${drawn(LIMITS, ["limits", ...part])}</fieldset>`;
  return html`
    ${drawn(MODELS)}
    ${shared ? [limits("Each member alone", ["each_member"]), limits("All members together", ["together"])] : limits("Limits", [])}
    ${drawn(REQUESTS)}
    <details>
      <summary>What is kept of texts</summary>
      <div class="pairs">${drawn(TEXTS)}</div>
      ${drawn(OF_RESPONSES)}
      <div class="pairs">${drawn(RETENTIONS)}</div>
    </details>
    <details>
      <summary>Managed settings of Claude Code</summary>
      ${drawn(MANAGED, ["managed_settings"])}
    </details>
  `;
}

/** What is at a path of the policy, as it was typed until the JSON says something else. */
function PolicyField({ policy, onPolicy, path, read = (text) => text, write = (value) => value ?? "", ...field }) {
  const value = fieldAt(policy, path);
  const [typed, setTyped] = useState("");
  const put = (text) => {
    setTyped(text);
    onPolicy(withField(policy, path, read(text, value)));
  };
  const isTyped = JSON.stringify(withField({}, ["value"], read(typed, value))) === JSON.stringify(withField({}, ["value"], value));
  return html`<${Field} ...${field} value=${isTyped ? typed : (write(value) ?? "")} onText=${put} />`;
}
