import assert from "node:assert/strict";
import { test } from "node:test";
import { limitNote, limitTitle, partText, sourceText, windowText } from "../../../dashboard/js/text/limits_text.js";

const NOW = new Date(2026, 10, 27, 12);
const at = (hours, minutes) => new Date(2026, 10, 27, hours, minutes).toISOString();
const RULE = { kind: "rate", maximum: 60, used: 6, remaining: 54, window_seconds: 90, period: null, next_free_at: at(12, 0), resets_at: at(12, 1), holds: true, replaced_by: null };

test("windows are written as operators write them", () => {
  const cases = [[0.4, "0s"], [20, "20s"], [60, "1m"], [5400, "1h30m"], [90061, "1d1h1m1s"]];
  cases.forEach(([seconds, text]) => assert.equal(windowText(seconds), text));
});

test("a limit says what it counts, whose rule it is and of whom", () => {
  assert.equal(limitTitle(RULE), "Calls in 1m30s");
  assert.equal(limitTitle({ kind: "budget", period: "week" }), "US dollars a week");
  assert.equal(sourceText({ level: "settings", name: "" }), "settings of the server");
  assert.equal(sourceText({ level: "everyone", name: "" }), "policy of everyone");
  assert.equal(sourceText({ level: "group", name: "research" }), "policy of group research");
  assert.deepEqual([partText({ part: "together" }), partText({ part: null })], ["all members together", ""]);
});

test("a limit says when there is more", () => {
  const note = (change) => limitNote({ ...RULE, ...change }, NOW);
  assert.equal(note({}), "All free again at 12:01:00, if unused");
  assert.equal(note({ used: 0, resets_at: null }), "");
  assert.equal(note({ remaining: 0, next_free_at: at(12, 5) }), "Free at 12:05:00");
  assert.equal(note({ kind: "concurrency", remaining: 0, next_free_at: null }), "Free when a call ends");
  assert.equal(note({ kind: "budget", remaining: 2 }), "Starts again 12:01:00");
  assert.equal(note({ kind: "budget", remaining: 0 }), "Used up until 12:01:00");
  assert.equal(note({ maximum: 0, remaining: 0 }), "0 refuses everything.");
  assert.equal(note({ holds: false, replaced_by: { level: "user", name: "ada" } }), "Does not hold: the policy of user ada has another budget.");
});
