/** One more provider, kept in the database. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { send } from "../../server/api.js";
import { itemsOf } from "../../text/format.js";
import { AreaField, ChoiceField, TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";

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

export function AddProvider({ onAdded, onClose }) {
  const [fields, setFields] = useState({ name: "", type: "openai", base_url: "", region: "", project: "" });
  const [keys, setKeys] = useState("");
  const set = (name) => (value) => setFields((before) => ({ ...before, [name]: value }));
  const add = () => {
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
    return send("POST", "providers", { ...given, keys: itemsOf(keys, "\n") }).then(onAdded);
  };
  return html`
    <${DialogForm} title="Add a provider" verb="Add" save=${add} onClose=${onClose}>
      <${TextField} label="Name" hint="In the address of its calls: lower-case letters, digits and single hyphens." value=${fields.name} onText=${set("name")} required autocapitalize="off" />
      <${ChoiceField} label="Type" value=${fields.type} options=${TYPES} onChoose=${set("type")} />
      <${TextField} label="Base URL" hint="If empty, the address of the type's vendor." value=${fields.base_url} onText=${set("base_url")} inputmode="url" />
      ${/^(vertex|bedrock|claude-aws)/.test(fields.type) && html`<${TextField} label="Region" value=${fields.region} onText=${set("region")} />`}
      ${fields.type === "vertex" && html`<${TextField} label="Project" value=${fields.project} onText=${set("project")} />`}
      <${AreaField} label="Keys" hint="One a line, at most 5; the first is tried first. They are never shown again." value=${keys} onText=${setKeys} rows="2" />
    <//>
  `;
}
