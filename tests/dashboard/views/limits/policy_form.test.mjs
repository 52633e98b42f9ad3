import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldAt, limitOf, patternsOf, patternsText, policyOf, policyText, slotsOf, slotsText, telemetryOf, withField } from "../../../../dashboard/js/views/limits/policy_form.js";

test("a field is set at any depth, and what becomes empty is taken away", () => {
  const policy = withField({ byok: "deny" }, ["limits", "together", "concurrency"], 4);
  assert.deepEqual(policy, { byok: "deny", limits: { together: { concurrency: 4 } } });
  assert.equal(fieldAt(policy, ["limits", "together", "concurrency"]), 4);
  assert.equal(fieldAt(policy, ["limits", "each_member", "rate"]), undefined);
  for (const empty of [undefined, "", [], {}]) assert.deepEqual(withField(policy, ["limits", "together", "concurrency"], empty), { byok: "deny" });
  assert.deepEqual(withField({ limits: 5 }, ["limits", "rate"], 1), { limits: { rate: 1 } });
});

test("a 0 is a value: it refuses everything", () => {
  assert.deepEqual(withField({}, ["max_tokens"], 0), { max_tokens: 0 });
  assert.equal(slotsText(0), "0");
});

test("patterns are lines, those of a provider with its name in front", () => {
  const patterns = ["claude-*", { provider: "openai", model: "gpt-5*" }, "llama:8b"];
  assert.equal(patternsText(patterns), "claude-*\nopenai: gpt-5*\nllama:8b");
  assert.deepEqual(patternsOf(` claude-* \n\nopenai:  gpt-5*\nllama:8b\n`), patterns);
  assert.equal(patternsText([{ provider: "openai" }]), "openai: *");
  assert.deepEqual(["claude-*", "", 5, null, undefined].map((unfinished) => patternsText(unfinished)), ["claude-*", "", "5", "", ""]);
});

test("a limit keeps its other fields, and is gone without its two", () => {
  const names = ["requests", "window"];
  const shadow = { requests: 5, window: "1m", shadow: true };
  assert.deepEqual(limitOf(shadow, "requests", "7", names), { requests: 7, window: "1m", shadow: true });
  assert.deepEqual(limitOf(undefined, "window", " 1h ", names), { window: "1h" });
  assert.deepEqual(limitOf({ window: "1h" }, "requests", "many", names), { window: "1h", requests: "many" });
  assert.equal(limitOf({ requests: 5 }, "requests", "", names), undefined);
  assert.deepEqual(limitOf("unfinished", "window", "1h", names), { window: "1h" });
  assert.deepEqual(limitOf({ period: "day" }, "usd", "12.50", ["usd", "period"]), { period: "day", usd: "12.50" });
});

test("calls at a time are a number, or an object that keeps what else it says", () => {
  assert.deepEqual([slotsText({ requests: 4, shadow: true }), slotsText(undefined)], ["4", ""]);
  assert.deepEqual(slotsOf("9", { requests: 4, shadow: true }), { requests: 9, shadow: true });
  assert.deepEqual([slotsOf("9", 4), slotsOf("x", 4), slotsOf(" ", 4)], [9, "x", undefined]);
});

test("only an object is a policy", () => {
  assert.deepEqual(policyOf(policyText({ byok: "deny" })), { byok: "deny" });
  for (const text of ["", "[]", "null", "5", "{"]) assert.equal(policyOf(text), null);
});

test("telemetry is switched on and off with its address, and other variables stay", () => {
  const sent = telemetryOf(" https://c.example ", { DISABLE_BUG_COMMAND: "1" });
  assert.equal(sent.OTEL_EXPORTER_OTLP_ENDPOINT, "https://c.example");
  assert.equal(sent.CLAUDE_CODE_ENABLE_TELEMETRY, "1");
  assert.deepEqual(telemetryOf("", sent), { DISABLE_BUG_COMMAND: "1" });
  assert.deepEqual(telemetryOf("", undefined), {});
});
