import assert from "node:assert/strict";
import { test } from "node:test";
import { endTitle, problemOf, reasonOf, ruleTitles, titleOf, why } from "../../../dashboard/js/text/vocabulary.js";
import "../learned.mjs";

test("a failed call says its status, if that is an error, and its message", () => {
  const failed = { status: "failed", end_reason: "upstream_error", upstream_status: 529, error: { type: "x", message: "Overloaded" } };
  assert.equal(problemOf(failed), "provider's error: 529 Overloaded");
  assert.equal(problemOf({ ...failed, upstream_status: 200 }), "provider's error: Overloaded");
  assert.equal(problemOf({ ...failed, upstream_status: null, end_reason: "client_disconnected", error: null }), "client stopped");
  assert.equal(problemOf({ ...failed, end_reason: "unheard_of", error: null }), "unheard of: 529");
  assert.equal(problemOf({ ...failed, status: "completed" }), "");
});

test("words are those that the server says, and what it does not say is called as the API does", () => {
  assert.deepEqual([titleOf("late_hat"), reasonOf("late_hat"), why("late")], ["late hat", "", ""]);
  assert.deepEqual([endTitle("client_disconnected"), endTitle("unheard_of")], ["client stopped", "unheard of"]);
  assert.deepEqual(ruleTitles().find(([rule]) => rule === "unknown_route"), ["unknown_route", titleOf("unknown_route")]);
  assert.ok(reasonOf("unknown_route") && why("server_crashed"));
});
