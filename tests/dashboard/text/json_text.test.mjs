import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut } from "../../../dashboard/js/text/json_text.js";

test("JSON is indented as JSON.stringify does it", () => {
  for (const value of [1, "x", null, true, [], {}, [[]], [{}], [1, [2, { a: [], b: {} }]], { "a:b": "c,{d}[e]: \"f\" \\" }]) {
    assert.equal(layOut(JSON.stringify(value)), JSON.stringify(value, null, 2));
  }
});

test("every digit and every escape stays as it was sent", () => {
  assert.equal(layOut('{"n":12345678901234567890,"e":1.0E+2,"s":"\\u003cb\\/\\ud83d"}'), '{\n  "n": 12345678901234567890,\n  "e": 1.0E+2,\n  "s": "\\u003cb\\/\\ud83d"\n}');
});

test("what is no JSON stays as it is", () => {
  for (const text of ["", "{", "x", '{"a":}', "*** Begin Patch", "1 2"]) assert.equal(layOut(text), text);
});
