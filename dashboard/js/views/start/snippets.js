/** What to paste where, for each client. Pure; `address` is that of a provider of this bridge, without a slash at its end. */

/** The types of providers that speak each API by the same paths, the vendor's own first. The demo speaks the first two. */
const SPEAK = {
  openai: ["openai", "azure", "openrouter", "ollama", "vllm", "openai-compatible", "bedrock-mantle", "demo"],
  anthropic: ["anthropic", "foundry", "openrouter", "ollama", "vllm", "bedrock-mantle", "claude-aws", "demo"],
  gemini: ["gemini"],
  azure: ["azure"],
  vertex: ["vertex"],
  bedrock: ["bedrock"],
};

/** `type` is that of the vendor whose API a client speaks. */
export const CLIENTS = [
  { id: "claude-code", name: "Claude Code", type: "anthropic" },
  { id: "codex", name: "Codex", type: "openai" },
  { id: "openai", name: "OpenAI SDK", type: "openai" },
  { id: "anthropic", name: "Anthropic SDK", type: "anthropic" },
  { id: "gemini", name: "Gemini CLI and SDK", type: "gemini" },
  { id: "azure", name: "Azure OpenAI SDK", type: "azure" },
  { id: "vertex", name: "Vertex AI", type: "vertex" },
  { id: "bedrock", name: "Amazon Bedrock", type: "bedrock" },
  { id: "curl", name: "curl", type: "openai" },
];

/** The clients that some configured provider can serve. */
export function clientsFor(configured) {
  return CLIENTS.filter((client) => providersFor(client, configured).length > 0);
}

const MODELS = { openai: "gpt-5.5", anthropic: "claude-sonnet-5-5", demo: "demo", gemini: "gemini-3-pro-preview" };

/** The configured providers that a client can talk to. */
export function providersFor({ type }, configured) {
  return configured.filter((provider) => SPEAK[type].includes(provider.type));
}

/** The provider of that name, else the vendor's own if it works, else the first that does, else the first. */
export function chosenProvider({ type }, providers, name) {
  const works = ({ key_state: state }) => state !== "no_key";
  const named = (one) => providers.find((provider) => provider.name === one);
  const vendor = named(type);
  return named(name) ?? (vendor && works(vendor) ? vendor : (providers.find(works) ?? providers[0]));
}

/** A model that a provider has; MODEL where only its operator knows one. */
export function modelOf({ name, type }) {
  const known = type === "gemini" ? type : name;
  return Object.hasOwn(MODELS, known) ? MODELS[known] : "MODEL";
}

const [shell, python, typescript, claudeCode] = ["Shell", "Python", "TypeScript", "Claude Code"].map((title) => (text) => [title, text]);
const WRITERS = {
  "claude-code": (address) => [
    shell(`export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_AUTH_TOKEN=TOKEN\nclaude`),
    ["With a subscription or a key of your own", `export ANTHROPIC_BASE_URL=${address}\nexport ANTHROPIC_CUSTOM_HEADERS="X-Coder-AI-Governance-Token: TOKEN"\nclaude`],
  ],
  codex: (address, model) => [
    ["~/.codex/config.toml", `model = "${model}"\nmodel_provider = "aibridge"\n\n[model_providers.aibridge]\nname = "AI Bridge"\nbase_url = "${address}/v1"\nenv_key = "AIBRIDGE_TOKEN"\nwire_api = "responses"`],
    shell("export AIBRIDGE_TOKEN=TOKEN\ncodex"),
  ],
  openai: (address, model) => [
    python(`from openai import OpenAI\n\nclient = OpenAI(base_url="${address}/v1", api_key="TOKEN")\nstream = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello"}],\n    stream=True,\n)`),
    typescript(`import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${address}/v1", apiKey: "TOKEN" });`),
  ],
  anthropic: (address, model) => [
    python(`from anthropic import Anthropic\n\nclient = Anthropic(base_url="${address}", auth_token="TOKEN")\nmessage = client.messages.create(\n    model="${model}",\n    max_tokens=1024,\n    messages=[{"role": "user", "content": "Hello"}],\n)`),
    typescript(`import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({ baseURL: "${address}", authToken: "TOKEN" });`),
  ],
  gemini: (address, model) => [
    shell(`export GOOGLE_GEMINI_BASE_URL=${address}\nexport GEMINI_API_KEY=TOKEN\ngemini`),
    python(`from google import genai\n\nclient = genai.Client(api_key="TOKEN", http_options={"base_url": "${address}"})\nanswer = client.models.generate_content(model="${model}", contents="Hello")`),
  ],
  azure: (address) => [
    python(`from openai import AzureOpenAI\n\nclient = AzureOpenAI(azure_endpoint="${address}", api_version="2024-10-21", api_key="TOKEN")\nanswer = client.chat.completions.create(\n    model="DEPLOYMENT",\n    messages=[{"role": "user", "content": "Hello"}],\n)`),
  ],
  vertex: (address) => [
    claudeCode(`export CLAUDE_CODE_USE_VERTEX=1 CLAUDE_CODE_SKIP_VERTEX_AUTH=1\nexport ANTHROPIC_VERTEX_BASE_URL=${address}/v1\nexport ANTHROPIC_VERTEX_PROJECT_ID=PROJECT CLOUD_ML_REGION=REGION\nexport ANTHROPIC_AUTH_TOKEN=TOKEN\nclaude`),
    python(`from google import genai\nfrom google.oauth2.credentials import Credentials\n\nclient = genai.Client(\n    vertexai=True,\n    project="PROJECT",\n    location="REGION",\n    credentials=Credentials("TOKEN"),\n    http_options={"base_url": "${address}"},\n)`),
  ],
  bedrock: (address) => [
    claudeCode(`export CLAUDE_CODE_USE_BEDROCK=1\nexport AWS_REGION=REGION\nexport ANTHROPIC_BEDROCK_BASE_URL=${address}\nexport AWS_BEARER_TOKEN_BEDROCK=TOKEN\nclaude`),
  ],
  curl: (address, model) => [
    shell(`curl -N ${address}/v1/chat/completions -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`),
  ],
};

/** The snippets of a client as `{title, text}`, with a token where there is one. */
export function snippets(id, address, model, token = "TOKEN") {
  return WRITERS[id](address, model).map(([title, text]) => ({ title, text: text.replaceAll(/\bTOKEN\b/g, token) }));
}
