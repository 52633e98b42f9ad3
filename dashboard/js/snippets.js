/** What to paste where, for each client. Pure; `address` is that of a provider of this bridge, without a slash at its end. */

/** `type` is that of the providers that a client can talk to; the demo provider speaks everything. */
export const CLIENTS = [
  { id: "claude-code", name: "Claude Code", type: "anthropic" },
  { id: "codex", name: "Codex", type: "openai" },
  { id: "openai", name: "OpenAI SDK", type: "openai" },
  { id: "anthropic", name: "Anthropic SDK", type: "anthropic" },
  { id: "curl", name: "curl", type: "openai" },
];

const MODELS = { openai: "gpt-5.5", anthropic: "claude-sonnet-5-5", demo: "demo" };

/** The configured providers that a client can talk to. */
export function providersFor({ type }, configured) {
  return configured.filter((provider) => provider.type === type || provider.type === "demo");
}

/** The provider of that name, else the vendor's own if it works, else the first that does, else the first. */
export function chosenProvider({ type }, providers, name) {
  const works = ({ key_state: state }) => state !== "no_key";
  const named = (one) => providers.find((provider) => provider.name === one);
  const vendor = named(type);
  return named(name) ?? (vendor && works(vendor) ? vendor : (providers.find(works) ?? providers[0]));
}

/** A model that a provider has; MODEL where only its operator knows one. */
export function modelOf({ name }) {
  return Object.hasOwn(MODELS, name) ? MODELS[name] : "MODEL";
}

const WRITERS = {
  "claude-code": (address) => [
    ["Shell", `export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_AUTH_TOKEN=TOKEN\nclaude`],
    [
      "With a subscription or a key of your own",
      `export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_CUSTOM_HEADERS="X-Coder-AI-Governance-Token: TOKEN"\nclaude`,
    ],
  ],
  codex: (address, model) => [
    [
      "~/.codex/config.toml",
      `model = "${model}"\nmodel_provider = "aibridge"\n\n[model_providers.aibridge]\nname = "AI Bridge"\nbase_url = "${address}/v1"\nenv_key = "AIBRIDGE_TOKEN"\nwire_api = "responses"`,
    ],
    ["Shell", "export AIBRIDGE_TOKEN=TOKEN\ncodex"],
  ],
  openai: (address, model) => [
    [
      "Python",
      `from openai import OpenAI\n\nclient = OpenAI(base_url="${address}/v1", api_key="TOKEN")\nstream = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello"}],\n    stream=True,\n)`,
    ],
    ["TypeScript", `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${address}/v1", apiKey: "TOKEN" });`],
  ],
  anthropic: (address, model) => [
    [
      "Python",
      `from anthropic import Anthropic\n\nclient = Anthropic(base_url="${address}", auth_token="TOKEN")\nmessage = client.messages.create(\n    model="${model}",\n    max_tokens=1024,\n    messages=[{"role": "user", "content": "Hello"}],\n)`,
    ],
    [
      "TypeScript",
      `import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({ baseURL: "${address}", authToken: "TOKEN" });`,
    ],
  ],
  curl: (address, model) => [
    [
      "Shell",
      `curl -N ${address}/v1/chat/completions -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`,
    ],
  ],
};

/** The snippets of a client as `{title, text}`. */
export function snippets(id, address, model) {
  return WRITERS[id](address, model).map(([title, text]) => ({ title, text }));
}
