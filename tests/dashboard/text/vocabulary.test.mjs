import assert from "node:assert/strict";
import { test } from "node:test";
import { learn, problemOf, reasonOf, ruleTitles, titleOf, why } from "../../../dashboard/js/text/vocabulary.js";

test("a failed call says its status, if that is an error, and its message", () => {
  const failed = { status: "failed", end_reason: "upstream_error", upstream_status: 529, error: { type: "x", message: "Overloaded" } };
  assert.equal(problemOf(failed), "529 Overloaded");
  assert.equal(problemOf({ ...failed, upstream_status: 200 }), "Overloaded");
  assert.equal(problemOf({ ...failed, upstream_status: null, end_reason: "client_disconnected", error: null }), why("client_disconnected"));
  assert.equal(problemOf({ ...failed, end_reason: "unheard_of", error: null }), "529");
  assert.equal(problemOf({ ...failed, status: "completed" }), "");
});

test("words are those that the server says, and what it does not say is called as the API does", () => {
  assert.deepEqual([titleOf("late_head"), reasonOf("late_head"), why("server_crashed")], ["late head", "", ""]);
  learn({ rules: [{ rule: "late_head", title: "Late head", meaning: "It was late." }], ends: [{ end_reason: "server_crashed", meaning: "It was killed." }] });
  assert.deepEqual([titleOf("late_head"), reasonOf("late_head"), why("server_crashed")], ["Late head", "It was late.", "It was killed."]);
  assert.deepEqual(ruleTitles(), [["late_head", "Late head"]]);
});
