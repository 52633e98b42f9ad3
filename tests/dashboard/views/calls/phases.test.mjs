import assert from "node:assert/strict";
import { test } from "node:test";
import { connectingText, phasesOf } from "../../../../dashboard/js/views/calls/phases.js";

const at = (ms) => new Date(Date.UTC(2026, 10, 25) + ms).toISOString();
const call = (asked, first, ended) => ({
  started_at: at(0),
  upstream_asked_at: asked == null ? null : at(asked),
  first_byte_at: first == null ? null : at(first),
  ended_at: ended == null ? null : at(ended),
});

test("the bridge, the provider and the answer make up the whole", () => {
  assert.deepEqual(phasesOf(call(5, 105, 1105)), [
    { kind: "bridge", text: "Bridge", ms: 5 },
    { kind: "provider", text: "Waiting for the provider", ms: 100 },
    { kind: "answer", text: "Answer", ms: 1000 },
  ]);
});

test("a provider that sent nothing had all the time from the question on", () => {
  assert.deepEqual(phasesOf(call(5, null, 305)), [
    { kind: "bridge", text: "Bridge", ms: 5 },
    { kind: "provider", text: "Provider, no byte came", ms: 300 },
  ]);
});

test("what is under way has no length yet", () => {
  assert.deepEqual(phasesOf(call(5, null, null)).at(-1), { kind: "provider", text: "Waiting for the provider", ms: null });
  assert.deepEqual(phasesOf(call(5, 9, null)).at(-1), { kind: "answer", text: "Answer", ms: null });
  assert.deepEqual(phasesOf(call(null, null, null)), [{ kind: "unknown", text: "Bridge and provider", ms: null }]);
});

test("a record that does not say when the provider was asked has one phase for both", () => {
  const { upstream_asked_at: _, ...old } = call(null, 105, 1105);
  for (const record of [call(null, 105, 1105), old]) {
    assert.deepEqual(phasesOf(record), [
      { kind: "unknown", text: "Bridge and provider", ms: 105 },
      { kind: "answer", text: "Answer", ms: 1000 },
    ]);
  }
  assert.deepEqual(phasesOf(call(null, null, 20)), [{ kind: "unknown", text: "No byte arrived", ms: 20 }]);
});

test("the phases up to the end add up to it", () => {
  for (const [asked, first, ended] of [[0, 0, 0], [3, 3, 9], [null, 4, 9], [2, null, 9], [null, null, 9], [1, 2, 3]]) {
    assert.equal(phasesOf(call(asked, first, ended)).reduce((sum, { ms }) => sum + ms, 0), ended);
  }
});

test("a new connection is told part by part", () => {
  assert.equal(
    connectingText({ dns_ms: 0.412, connect_ms: 8.031, tls_ms: 1240 }),
    "A new connection to the provider: address 0 ms, connection 8 ms, TLS 1.24 s.",
  );
  assert.equal(connectingText({ dns_ms: 2, connect_ms: 8, tls_ms: null }), "A new connection to the provider: address 2 ms, connection 8 ms.");
});
