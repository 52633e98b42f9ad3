import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, reader, request, speaks } from "../../../../dashboard/js/views/start/conversation.js";

const event = (data) => `data: ${JSON.stringify(data)}\n\n`;
const WORDS = {
  openai: (text) => event({ choices: [{ delta: { content: text } }] }),
  anthropic: (text) => `event: content_block_delta\n${event({ type: "content_block_delta", delta: { type: "text_delta", text } })}`,
  gemini: (text) => event({ candidates: [{ content: { parts: [{ text }] } }] }),
};

for (const [vendor, said] of Object.entries(WORDS)) {
  test(`the words of ${vendor} are read wherever their events are cut`, () => {
    const stream = said("Hel") + event({ usage: {} }) + said("lo, wörld") + "data: [DONE]\n\n";
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const read = reader(vendor);
      assert.equal(read(stream.slice(0, cut)) + read(stream.slice(cut)), "Hello, wörld");
    }
  });
}

test("a prompt is sent as the vendor's API has it", () => {
  assert.deepEqual(request("openai", "gpt-5.5", "Hi"), {
    path: "/v1/chat/completions",
    body: '{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Hi"}]}',
  });
  assert.equal(request("anthropic", "m", "Hi").path, "/v1/messages");
  assert.equal(request("gemini", "a/b", "Hi").path, "/v1beta/models/a%2Fb:streamGenerateContent?alt=sse");
  assert.equal(speaks("bedrock"), false);
});

test("an error is said in its own words, of the bridge or of a provider", () => {
  const bodies = ['{"message": "No.", "error": {"message": "no"}}', '{"error": {"message": "Busy."}}', '{"error": {}}', "null", "<html>", ""];
  assert.deepEqual(bodies.map(errorOf), ["No.", "Busy.", '{"error": {}}', "null", "<html>", ""]);
});
