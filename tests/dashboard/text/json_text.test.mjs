import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut } from "../../../dashboard/js/text/json_text.js";

const written = (text) => layOut(text)?.map((piece) => piece.text).join("") ?? null;

test("JSON is indented as JSON.stringify does it", () => {
  for (const value of [1, "x", null, true, [], {}, [[]], [{}], [1, [2, { a: [], b: {} }]], { "a:b": "c,{d}[e]: \"f\" \\" }]) {
    assert.equal(written(JSON.stringify(value)), JSON.stringify(value, null, 2));
  }
});

test("every digit and every escape stays as it was sent", () => {
  assert.equal(written('{"n":12345678901234567890,"e":1.0E+2,"s":"\\u003cb\\/\\ud83d"}'), '{\n  "n": 12345678901234567890,\n  "e": 1.0E+2,\n  "s": "\\u003cb\\/\\ud83d"\n}');
});

test("names and values are told apart", () => {
  assert.deepEqual(layOut('{"a":"b"}').filter(({ kind }) => kind !== "mark"), [{ kind: "key", text: '"a"' }, { kind: "string", text: '"b"' }]);
  assert.deepEqual(layOut("[-1,null]").filter(({ kind }) => kind !== "mark").map(({ kind }) => kind), ["number", "word"]);
});

test("what is no JSON is not laid out", () => {
  for (const text of ["", "{", "x", '{"a":}', "*** Begin Patch", "1 2"]) assert.equal(layOut(text), null);
});
