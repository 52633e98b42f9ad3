/** One more provider, kept in the database. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { Dialog } from "../../parts/dialog.js";
import { AreaField, ChoiceField, TextField } from "../../parts/field.js";
import { Failure } from "../../parts/states.js";
import { useChange } from "../../server/resource.js";

/** The types that can be added, with what people call them. */
const TYPES = [
  ["openai", "OpenAI"],
  ["anthropic", "Anthropic"],
  ["gemini", "Gemini"],
  ["vertex", "Vertex AI"],
  ["azure", "Azure OpenAI"],
  ["foundry", "Foundry"],
  ["openrouter", "OpenRouter"],
  ["copilot", "GitHub Copilot"],
  ["chatgpt", "ChatGPT"],
  ["ollama", "Ollama"],
  ["vllm", "vLLM"],
  ["openai-compatible", "OpenAI-compatible server"],
  ["bedrock", "Amazon Bedrock"],
  ["bedrock-mantle", "Bedrock Mantle"],
  ["claude-aws", "Claude on AWS"],
];

/** Keys as somebody types them: one a line. */
export function keysIn(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

export function AddProvider({ onAdded, onClose }) {
  const [fields, setFields] = useState({ name: "", type: "openai", base_url: "", region: "", project: "" });
  const [keys, setKeys] = useState("");
  const { busy, error, run } = useChange();
  const set = (name) => (value) => setFields((before) => ({ ...before, [name]: value }));
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
    run(() => send("POST", "providers", { ...given, keys: keysIn(keys) }).then(onAdded));
  };
  return html`
    <${Dialog} title="Add a provider" onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <${TextField} label="Name" hint="In the address of its calls: lower-case letters, digits and single hyphens." value=${fields.name} onText=${set("name")} required autocapitalize="off" />
        <${ChoiceField} label="Type" value=${fields.type} options=${TYPES} onChoose=${set("type")} />
        <${TextField} label="Base URL" hint="If empty, the address of the type's vendor." value=${fields.base_url} onText=${set("base_url")} inputmode="url" />
        ${/^(vertex|bedrock|claude-aws)/.test(fields.type) && html`<${TextField} label="Region" value=${fields.region} onText=${set("region")} />`}
        ${fields.type === "vertex" && html`<${TextField} label="Project" value=${fields.project} onText=${set("project")} />`}
        <${AreaField} label="Keys" hint="One a line, at most 5; the first is tried first. They are never shown again." value=${keys} onText=${setKeys} rows="2" />
        ${error && html`<${Failure} error=${error} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy}>Add</button>
        </div>
      </form>
    <//>
  `;
}
