import assert from "node:assert/strict";
import { test } from "node:test";
import { completions, holdsSecret, idOf, isToken, valueOf, withTerm } from "../../../dashboard/js/bar/query.js";
import "../learned.mjs";

test("a word without a key is none of the initiator", () => {
  assert.equal(valueOf("ada model:x", "initiator"), "");
  assert.equal(withTerm("ada model:x", "initiator", "me"), "ada model:x initiator:me");
});

test("a search that is an id alone is known as one", () => {
  assert.deepEqual(["msg_0123456789", ' "msg_0123456789" ', "msg_0123456789 model:x", "ada", "request_id:x", ""].map(idOf), [
    "msg_0123456789",
    "msg_0123456789",
    "",
    "",
    "",
    "",
  ]);
});

test("a word without a key that has the form of an id is one", () => {
  const ids = ["6F0E3D2C-1b4a-4c59-8e7f-001122334455", "msg_0123456789", "chatcmpl-0123456789", "0".repeat(32)];
  for (const id of [...ids, "msg_7", "QHiLaa6LBrb8vdIPoNztsAg"]) {
    assert.deepEqual([valueOf(id, "request_id"), valueOf(id, "initiator")], [id, ""]);
  }
  for (const name of ["msg_ada", "Maximilian-Mustermann1"]) assert.equal(valueOf(name, "request_id"), "");
});

test("what a search asks not to be is no value of its key", () => {
  assert.equal(valueOf("-model:x", "model"), "");
  assert.equal(withTerm("-model:x", "model", "y"), "-model:x model:y");
});

test("a token of the bridge is known by its form, alone and whole", () => {
  const token = "abcdefghij-0123456789abcdefghijkl";
  assert.deepEqual([token, ` ${token} `, `${token}x`, `a ${token}`, "sk-proj-0123456789abcdefghij", ""].map(isToken), [
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("the last word is completed: first the key, then its values", () => {
  const texts = (q, known) => completions(q, known).map(({ text }) => text);
  assert.deepEqual(texts("password to"), ["token", "tool", "took", "tokens"].map((key) => `password ${key}:`));
  assert.deepEqual(texts("-stat"), ["-status:"]);
  assert.deepEqual(texts("model:x status:f"), ["model:x status:failed"]);
  assert.deepEqual(texts("cost:"), ["cost:>1", "cost:>0.1"]);
  assert.deepEqual(texts("tag:pro", { tag: ["project=", "env="] }), ["tag:project="]);
  const known = { client: ["Claude Code", "Codex", 'a "b"'] };
  assert.deepEqual(completions('client:"Cl', known), [{ text: 'client:"Claude Code"', label: "client:Claude Code" }]);
  assert.deepEqual(texts("client:c", known), ['client:"Claude Code"', "client:Codex"]);
  assert.deepEqual([texts(""), texts("model:x "), texts("zzz"), texts("nothing:")], [[], [], [], []]);
});

test("what looks like a token or a key is known as a secret, and other words are not", () => {
  const secrets = ["abcdefghij-0123456789abcdefghijkl", "sk-proj-0123456789abcdefghij", "AKIA0123456789ABCDEF", "AQ.Ab8RN6IexampleExampleExample", "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQ", "eyJhbGciOi.eyJzdWI.c2ln"];
  for (const secret of secrets) for (const q of [secret, `model:${secret}`, ` "${secret}" x`]) assert.ok(holdsSecret(q), q);
  for (const q of ["", "ada", "model:gpt-5.5-codex", "019ac0de-7a3b-7c1e-9f00-0123456789ab", "claude-sonnet-4-5-20250929", "task-force-of-the-longest-name"])
    assert.ok(!holdsSecret(q), q);
});
