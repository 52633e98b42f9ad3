import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, between, bucketName, duration, percent, serviceTier, short, sumTokens, time, tokensIn, UNKNOWN, usd, whole } from "../../../dashboard/js/text/format.js";

const each = (write, cases) => cases.forEach(([value, text]) => assert.equal(write(value), text));

test("what is not known is a dash", () => {
  for (const write of [whole, short, usd, duration, time]) assert.equal(write(null), UNKNOWN);
  assert.equal(percent(0, 0), UNKNOWN);
});

test("small amounts of money keep two digits that say something", () => {
  each(usd, [[0, "$0"], [0.0000123, "$0.000012"], [0.0042, "$0.0042"], [0.0099, "$0.0099"], [0.01, "$0.01"]]);
  each(usd, [[12.345, "$12.35"], [999.99, "$999.99"], [1234.5, "$1,234.50"], [12345, "$12,345"], [1e-12, "$0.00000000"]]);
});

test("a duration is never rounded up to the next unit", () => {
  each(duration, [[0, "0 ms"], [999, "999 ms"], [999.7, "999 ms"], [1239, "1.23 s"], [9999, "9.99 s"], [59_999, "59.9 s"]]);
  each(duration, [[60_000, "1 min 0 s"], [3_599_999, "59 min 59 s"], [7_620_000, "2 h 7 min"], [60 * 86_400_000, "60 days"]]);
});

test("a small part is not nothing", () => {
  assert.equal(percent(1, 3000), "< 0.1 %");
  assert.equal(percent(0, 3000), "0 %");
  assert.equal(percent(22, 1000), "2.2 %");
  assert.equal(percent(1, 3), "33 %");
  assert.equal(percent(5, 5), "100 %");
  assert.deepEqual([percent(994, 1000), percent(999, 1000)], ["99 %", "> 99 %"]);
});

test("a time has its date on any other day", () => {
  const now = new Date(2026, 10, 25, 12, 0, 0);
  assert.equal(bucketName(Date.parse("2026-11-03T00:00:00Z") / 1000, 86_400, now), "3 Nov");
  assert.equal(bucketName(Date.parse("2026-01-01T00:00:00Z") / 1000, 86_400, now), "1 Jan");
  assert.equal(bucketName(Date.parse("2025-11-03T00:00:00Z") / 1000, 86_400, now), "3 Nov 2025");
  assert.equal(bucketName(new Date(new Date().getFullYear(), 10, 3, 15).getTime() / 1000, 3600), "3 Nov 15:00");
  assert.equal(time(new Date(2026, 10, 25, 3, 4, 5).toISOString(), now), "03:04:05");
  assert.equal(time(new Date(2026, 10, 3, 3, 4, 5).toISOString(), now), "3 Nov 03:04:05");
  assert.equal(time(new Date(2025, 0, 3, 3, 4, 5).toISOString(), now), "3 Jan 2025 03:04:05");
});

test("how long ago is said in one unit", () => {
  const now = new Date("2026-11-25T12:00:00Z");
  each((text) => ago(text, now), [
    ["2026-11-25T11:59:01Z", "just now"], ["2026-11-25T12:00:09Z", "just now"], ["2026-11-25T11:05:00Z", "55 min ago"],
    ["2026-11-24T13:00:00Z", "23 h ago"], ["2026-11-20T12:00:00Z", "5 d ago"],
  ]);
});

test("the time between is unknown unless both ends are known, and never negative", () => {
  assert.equal(between("2026-11-25T12:00:00.100Z", "2026-11-25T12:00:01Z"), 900);
  assert.equal(between("2026-11-25T12:00:01Z", "2026-11-25T12:00:00Z"), 0);
  assert.equal(between(null, "2026-11-25T12:00:00Z"), null);
});

test("counts that nobody reported stay unknown in a sum", () => {
  const usages = [
    { input_tokens: 3, output_tokens: null, cache_read_input_tokens: 0, cache_write_input_tokens: null },
    { input_tokens: 4, output_tokens: null, cache_read_input_tokens: 5, cache_write_input_tokens: null },
  ];
  const sum = { input_tokens: 7, output_tokens: null, cache_read_input_tokens: 5, cache_write_input_tokens: null };
  assert.deepEqual(sumTokens(usages), sum);
  assert.equal(tokensIn(sum), 12);
  assert.equal(tokensIn(sumTokens([])), null);
});

test("a service tier and a speed are named where they are not the usual ones", () => {
  const told = (usage) => serviceTier([{ metadata: { usage: { speed: "fast" } } }, { metadata: { usage } }]);
  assert.deepEqual(
    [{ service_tier: "flex" }, { service_tier: "standard", speed: "fast" }, { trafficType: "ON_DEMAND_PRIORITY" }, { serviceTier: "FLEX" }].map(told),
    ["flex", "fast", "priority", "flex"],
  );
  assert.deepEqual([{ service_tier: "default" }, { service_tier: ["flex"], speed: 5 }, { serviceTier: "STANDARD" }, { trafficType: "ON_DEMAND" }, undefined].map(told), ["", "", "", "", ""]);
  assert.equal(serviceTier([]), "");
});
