import assert from "node:assert/strict";
import { test } from "node:test";
import { agentName, argumentOf, axisOf, outcomeOf, reportOf, retriesOf, tryOf } from "../../../../dashboard/js/views/sessions/story.js";

const at = (seconds) => new Date(Date.UTC(2026, 2, 1, 12) + seconds * 1000).toISOString();
const call = (start, end, more = {}) => ({
  id: `${start}`, agent_id: null, started_at: at(start), first_byte_at: at((start + end) / 2), ended_at: at(end), tools: [], ...more,
});

test("calls are as long as they took, and long pauses are cut", () => {
  const { lanes, pauses, refused } = axisOf([call(0, 10), call(1000, 1010)], [{ at: at(1000) }], 0);
  const [first, second] = lanes[0].rows[0];
  assert.equal(lanes[0].rows.length, 1);
  assert.deepEqual([first.left, first.wait], [0, 0.5]);
  assert.ok(Math.abs(first.width - 10 / 20.8) < 1e-9);
  assert.ok(Math.abs(second.left + second.width - 1) < 1e-9);
  assert.deepEqual(pauses.map(({ ms }) => ms), [990_000]);
  assert.ok(Math.abs(refused[0].left - second.left) < 1e-9);
});

test("parallel calls of an agent have rows of their own, and each agent a lane", () => {
  const { lanes } = axisOf([call(0, 10), call(5, 8), call(11, 12), call(6, 9, { agent_id: "a1" })], [], 0);
  assert.deepEqual(lanes.map(({ agent, rows }) => [agent, rows.map((row) => row.length)]), [[null, [2, 1]], ["a1", [1]]]);
});

test("an agent is called by its type, where that is known", () => {
  const { lanes } = axisOf([call(0, 1), call(1, 2, { agent_id: "a1", agent_type: "Explore" }), call(2, 3, { agent_id: "b2" })], [], 0);
  assert.deepEqual(lanes.map(agentName), ["the main one", "Explore (a1)", "b2"]);
});

test("a call that took no time can be seen, and one under way lasts until now", () => {
  const { lanes } = axisOf([call(0, 0), call(0, 1, { ended_at: null, first_byte_at: null })], [], Date.parse(at(100)));
  const bars = lanes[0].rows.flat();
  assert.ok(bars.every(({ left, width }) => width > 0 && left >= 0 && left + width <= 1 + 1e-9));
  assert.equal(bars.at(-1).wait, 1);
});

test("without calls there is no axis", () => {
  assert.deepEqual(axisOf([], [{ at: at(0) }], 0), { lanes: [], pauses: [], refused: [] });
});

test("how tools ended and which try it is are said in words", () => {
  assert.equal(outcomeOf({ bytes: 1200, is_error: null }), "1.2 KB");
  assert.equal(outcomeOf({ bytes: 7, is_error: true }), "failed, 7 bytes");
  assert.deepEqual([tryOf({ attempt: 0 }), tryOf({ attempt: 1 }), tryOf({ attempt: 2, attempts: 3 })], ["", "try 2", "try 3 of 3"]);
  assert.equal(retriesOf({ calls: 0 }), "");
  assert.equal(retriesOf({ calls: 2, amplification: 1.5 }), "2 retries, 1.5 calls for each");
});

test("what the client says of a tool call is said in words", () => {
  const report = { decision: "reject", source: "user_reject", succeeded: false, duration_ms: 39 };
  assert.equal(reportOf(report), "rejected by user reject, failed, 39 ms");
  assert.equal(reportOf({ decision: "accept", source: null, succeeded: true, duration_ms: null }), "accepted");
});

test("a tool call is said by its command or its file, else by its first text, on one line", () => {
  for (const [input, expected] of [
    ['{"description":"Run tests","command":"pytest\\n -q"}', "pytest -q"],
    ['{"old_string":"a","file_path":"src/http.py"}', "src/http.py"],
    ['{"command":["bash","-lc","make"]}', "bash -lc make"],
    ['{"line":1,"name":"x"}', "x"],
    ["*** Begin Patch", "*** Begin Patch"],
    ["null", ""],
    ["[1]", ""],
    ["", ""],
  ]) assert.equal(argumentOf({ input }), expected, input);
});
