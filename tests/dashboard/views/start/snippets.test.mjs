import assert from "node:assert/strict";
import { test } from "node:test";
import { CLIENTS, chosenProvider, clientsFor, modelOf, providersFor, snippets } from "../../../../dashboard/js/views/start/snippets.js";

const openai = { name: "openai", type: "openai", key_state: "key" };
const anthropic = { name: "anthropic", type: "anthropic", key_state: "no_key" };
const own = { name: "own", type: "openai", key_state: "keyless" };
const demo = { name: "demo", type: "demo", key_state: "keyless" };
const [claudeCode, codex] = CLIENTS;

test("a client is offered the providers that speak its dialect, and the demo", () => {
  const all = [openai, anthropic, own, demo];
  assert.deepEqual(providersFor(codex, all), [openai, own, demo]);
  assert.deepEqual(providersFor(claudeCode, all), [anthropic, demo]);
});

test("a client is shown where some provider speaks its API", () => {
  const gemini = { name: "google", type: "gemini", key_state: "key" };
  const azure = { name: "work", type: "azure", key_state: "key" };
  assert.deepEqual(
    clientsFor([openai, gemini]).map(({ id }) => id),
    ["codex", "openai", "gemini", "curl"],
  );
  assert.deepEqual(
    clientsFor([azure]).map(({ id }) => id),
    ["codex", "openai", "azure", "curl"],
  );
  assert.equal(modelOf(gemini), "gemini-3-pro-preview");
  assert.match(snippets("gemini", "http://x/google", modelOf(gemini))[0].text, /GOOGLE_GEMINI_BASE_URL=http:\/\/x\/google\n/);
  assert.match(snippets("vertex", "http://x/vertex")[0].text, /ANTHROPIC_VERTEX_BASE_URL=http:\/\/x\/vertex\/v1\n/);
});

test("the vendor is chosen while it has a key, else a provider that works, else the first", () => {
  assert.equal(chosenProvider(codex, [own, openai, demo]), openai);
  assert.equal(chosenProvider(claudeCode, [anthropic, demo]), demo);
  assert.equal(chosenProvider(claudeCode, [anthropic]), anthropic);
});

test("a provider that is named in the address is chosen, one that is not there is not", () => {
  assert.equal(chosenProvider(claudeCode, [anthropic, demo], "anthropic"), anthropic);
  assert.equal(chosenProvider(claudeCode, [anthropic, demo], "openai"), demo);
});

test("a model that only the operator knows is left to be filled in", () => {
  assert.deepEqual([openai, anthropic, demo, own].map(modelOf), ["gpt-5.5", "claude-sonnet-5-5", "demo", "MODEL"]);
  assert.match(snippets("curl", "http://x/own", modelOf(own))[0].text, /"model": "MODEL"/);
});

test("a token is filled in wherever one stands, and nowhere else", () => {
  for (const { id } of CLIENTS) {
    const plain = snippets(id, "http://x/p", "m").map(({ text }) => text);
    const filled = snippets(id, "http://x/p", "m", "s3cret").map(({ text }) => text);
    assert.deepEqual(filled, plain.map((text) => text.replaceAll(/(?<![A-Z_])TOKEN(?![A-Z_])/g, "s3cret")));
    assert.ok(filled.some((text) => text.includes("s3cret")));
  }
});
