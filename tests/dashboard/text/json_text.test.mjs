import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut } from "../../../dashboard/js/text/json_text.js";

test("JSON is indented as JSON.stringify does it", () => {
  for (const value of [1, "x", null, true, [], {}, [[]], [{}], [1, [2, { a: [], b: {} }]], { "a:b": "c,{d}[e]: \"f\" \\" }]) {
    assert.equal(layOut(JSON.stringify(value)), JSON.stringify(value, null, 2));
  }
});

test("every digit and every escape stays as it was sent", () => {
  for (const text of ['{"n":12345678901234567890}', '{"e":1.0E+2}', '{"s":"\\u003cb\\/"}', '{"a":1,"a":2}']) assert.equal(layOut(text), text);
});

test("what is no JSON stays as it is", () => {
  for (const text of ["", "{", "x", '{"a":}', "*** Begin Patch", "1 2"]) assert.equal(layOut(text), text);
});
