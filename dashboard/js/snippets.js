/** What to paste where, for each client. Pure; `address` is that of a provider of this bridge, without a slash at its end. */

export const CLIENTS = [
  { id: "claude-code", name: "Claude Code", provider: "anthropic" },
  { id: "codex", name: "Codex", provider: "openai" },
  {
    id: "openai",
    name: "OpenAI SDK",
    provider: "openai",
    note: "A streamed chat completion reports its tokens only when the request asks with include_usage.",
  },
  { id: "anthropic", name: "Anthropic SDK", provider: "anthropic" },
  { id: "curl", name: "curl", provider: "openai" },
];

const WRITERS = {
  "claude-code": (address) => [
    ["Shell", `export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_AUTH_TOKEN=TOKEN\nclaude`],
    [
      "With a subscription or a key of your own",
      `export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_CUSTOM_HEADERS="X-Coder-AI-Governance-Token: TOKEN"\nclaude`,
    ],
  ],
  codex: (address) => [
    [
      "~/.codex/config.toml",
      `model_provider = "aibridge"\n\n[model_providers.aibridge]\nname = "AI Bridge"\nbase_url = "${address}/v1"\nenv_key = "AIBRIDGE_TOKEN"\nwire_api = "responses"`,
    ],
    ["Shell", "export AIBRIDGE_TOKEN=TOKEN\ncodex"],
  ],
  openai: (address) => [
    [
      "Python",
      `from openai import OpenAI\n\nclient = OpenAI(base_url="${address}/v1", api_key="TOKEN")\nstream = client.chat.completions.create(\n    model="gpt-5",\n    messages=[{"role": "user", "content": "Hello"}],\n    stream=True,\n    stream_options={"include_usage": True},\n)`,
    ],
    ["TypeScript", `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${address}/v1", apiKey: "TOKEN" });`],
  ],
  anthropic: (address) => [
    [
      "Python",
      `from anthropic import Anthropic\n\nclient = Anthropic(base_url="${address}", auth_token="TOKEN")\nmessage = client.messages.create(\n    model="claude-sonnet-4-5",\n    max_tokens=1024,\n    messages=[{"role": "user", "content": "Hello"}],\n)`,
    ],
    [
      "TypeScript",
      `import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({ baseURL: "${address}", authToken: "TOKEN" });`,
    ],
  ],
  curl: (address) => [
    [
      "Shell",
      `curl -N ${address}/v1/chat/completions -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\\n  -d '{"model": "gpt-5", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "Hello"}]}'`,
    ],
  ],
};

/** The snippets of a client as `{title, text}`. */
export function snippets(id, address) {
  return WRITERS[id](address).map(([title, text]) => ({ title, text }));
}
