import assert from "node:assert/strict";
import { test } from "node:test";
import { time } from "../../../dashboard/js/text/format.js";
import { whatWasDone } from "../../../dashboard/js/text/vocabulary.js";
import "../learned.mjs";

const ADA = { id: "1", username: "ada" };
const GRACE = { id: "2", username: "grace" };
const said = (action, detail, subject = GRACE) => whatWasDone({ actor: ADA, action, subject, detail });

test("a user who is added has a role, and a name if it is another", () => {
  assert.equal(said("user.added", { role: "auditor", name: "grace" }), "added grace as auditor");
  assert.equal(said("user.added", { role: "member", name: "Grace H." }), "added grace as member, named “Grace H.”");
});

test("of a change it says what was before", () => {
  assert.equal(said("user.changed", { role: "owner", role_before: "member" }), "changed grace: from member to owner");
  const both = { role: "owner", role_before: "member", name: "G", name_before: "grace" };
  assert.equal(said("user.changed", both), "changed grace: from member to owner, named “G” instead of “grace”");
});

test("a token is somebody's, and expires or does not", () => {
  const expires = "2027-02-22T23:50:42.113Z";
  const laptop = { token_id: "d3W24SnZZB", name: "laptop", expires_at: expires };
  assert.equal(said("token.created", laptop), `created grace's token “laptop” (d3W24SnZZB), which expires ${time(expires)}`);
  assert.equal(said("token.created", { ...laptop, name: "", expires_at: null }, ADA), "created their token (d3W24SnZZB), which never expires");
  const replaced = `replaced grace's token “laptop” (d3W24SnZZB) by 4u0R3H9BXF; it expires ${time(expires)}`;
  assert.equal(said("token.replaced", { ...laptop, replaced_by: "4u0R3H9BXF" }), replaced);
  assert.equal(said("token.revoked", laptop, ADA), "revoked their token “laptop” (d3W24SnZZB)");
});

test("a sign-in and a refusal concern nobody, and say how often", () => {
  const last = "2027-02-22T23:50:42.113Z";
  const quiet = (action, detail) => said(action, detail, null);
  assert.equal(quiet("user.signed_in", { count: 1, last_at: last }), "signed in");
  assert.equal(said("calls.read", { way: "export", count: 3, last_at: last }), "read 3 calls of grace (export)");
  assert.equal(quiet("calls.read", { way: "list", count: 1, last_at: last }), "read 1 call of others (list)");
  assert.equal(
    quiet("authentication.failed", { reason: "wrong_secret", plane: "sign_in", count: 3, last_at: last }),
    `was not authenticated 3 times, last at ${time(last)}: wrong secret (sign in)`,
  );
  assert.equal(quiet("access.denied", { message: "Only owners may.", plane: "data", count: 1 }), "was refused: Only owners may. (data)");
  assert.equal(quiet("user.locked_out", {}), "user.locked out");
});

test("what a newer server does is said in its words", () => {
  for (const action of ["user.locked_out", "constructor", "__proto__"]) {
    assert.equal(said(action, {}), `${action.replaceAll("_", " ")} grace`);
  }
});
