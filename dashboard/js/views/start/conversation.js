/** A first prompt to a provider, and the words of its response as they arrive. Pure. */

/** By the vendor whose API is spoken. `delta` is the text of an event, "" where it has none. */
const APIS = {
  openai: {
    path: () => "/v1/chat/completions",
    body: (model, prompt) => ({ model, stream: true, messages: [{ role: "user", content: prompt }] }),
    delta: (event) => event.choices?.[0]?.delta?.content,
  },
  anthropic: {
    path: () => "/v1/messages",
    body: (model, prompt) => ({ model, max_tokens: 1024, stream: true, messages: [{ role: "user", content: prompt }] }),
    delta: (event) => event.delta?.text,
  },
  gemini: {
    path: (model) => `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
    body: (_, prompt) => ({ contents: [{ role: "user", parts: [{ text: prompt }] }] }),
    delta: (event) => event.candidates?.[0]?.content?.parts?.map(({ text }) => text ?? "").join(""),
  },
};

/** Whether a page can speak this vendor's API. */
export function speaks(vendor) {
  return Object.hasOwn(APIS, vendor);
}

/** What to send to a provider: `{path, body}`, behind the provider's address. */
export function request(vendor, model, prompt) {
  const { path, body } = APIS[vendor];
  return { path: path(model), body: JSON.stringify(body(model, prompt)) };
}

/** A reader of server-sent events that come in pieces: give it each piece, and it returns the words in it. */
export function reader(vendor) {
  const { delta } = APIS[vendor];
  let rest = "";
  return (piece) => {
    const lines = (rest + piece).split(/\r?\n/);
    rest = lines.pop();
    return lines.filter((line) => line.startsWith("data:")).map((line) => words(line.slice(5), delta)).join("");
  };
}

/** What an error says, of the bridge or of a provider; the whole body where it is no JSON. */
export function errorOf(body) {
  try {
    const { message, error } = JSON.parse(body);
    return message ?? error?.message ?? body;
  } catch {
    return body;
  }
}

function words(data, delta) {
  try {
    return delta(JSON.parse(data)) ?? "";
  } catch {
    return ""; // [DONE]
  }
}
