import assert from "node:assert/strict";
import { test } from "node:test";
import { time } from "../../../../dashboard/js/text/format.js";
import { whatWasDone } from "../../../../dashboard/js/views/accounts/trail.js";

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
  const paid = { cost_centre: "4711", cost_centre_before: "" };
  assert.equal(said("user.changed", paid), "changed grace: cost centre “4711” instead of “”");
});

test("whose session was ended is said with the token it was made with", () => {
  const detail = { session_id: "kq3PzT0bXa", token_id: "d3W24SnZZB" };
  assert.equal(said("session.ended", detail), "ended a session of grace, who had signed in with token d3W24SnZZB");
});

test("of a session that was made without a token no token is said", () => {
  assert.equal(said("session.ended", { session_id: "kq3PzT0bXa" }), "ended a session of grace");
});

test("who signs in at a provider, and by which link, is said", () => {
  assert.equal(said("user.linked", { issuer: "https://id.example" }), "linked grace to who signs in at https://id.example");
  assert.equal(said("sign_in_link.created", {}), "made a link that signs grace in once");
});

test("prices, jobs, webhooks and the demo company are of nobody", () => {
  const of = (action, detail = {}) => said(action, detail, null);
  assert.equal(of("prices.changed", { prices_added: ["a", "b"], prices_removed: ["c"] }), "changed own prices: 2 prices came, 1 went");
  const [start, end] = ["2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"];
  assert.equal(of("recost.requested", { recost_id: "7", start, end }), `had calls from ${time(start)} until ${time(end)} priced again`);
  assert.equal(of("recost.cancelled", { recost_id: "7" }), "stopped calls from being priced again");
  assert.equal(of("webhook.added", { webhook_id: "7" }), "added the webhook 7");
  assert.equal(of("webhook.changed", { webhook_id: "7", changes: ["url", "types"] }), "changed the webhook 7: url, types");
  assert.equal(of("webhook.removed", { webhook_id: "7" }), "removed the webhook 7");
  assert.equal(of("demo.filled"), "had the demo company filled in");
  assert.equal(of("demo.removed"), "removed the demo company");
});

test("a view is saved, changed and removed, by its user or by an owner", () => {
  assert.equal(said("view.added", { name: "week" }, ADA), "saved the view “week”");
  const renamed = { name: "month", name_before: "week", changes: ["name", "query"] };
  assert.equal(said("view.changed", renamed, ADA), "changed their view “month”: it was “week”, query");
  assert.equal(said("view.removed", { name: "month" }), "removed grace's view “month”");
});

test("a user who is removed loses their tokens", () => {
  assert.equal(said("user.removed", { revoked_tokens: 1 }), "removed grace and revoked 1 token");
  assert.equal(said("user.removed", { revoked_tokens: 0 }), "removed grace and revoked 0 tokens");
});

test("a group is added, changed and removed, and users come into it and leave it", () => {
  const of = (action, detail) => said(action, { group_id: "3", group: "research", ...detail }, null);
  assert.equal(of("group.added", { name: "research" }), "added the group research");
  assert.equal(of("group.added", { name: "R & D" }), "added the group research, named “R & D”");
  const both = { group_before: "lab", name: "R & D", name_before: "lab" };
  assert.equal(of("group.changed", both), "changed the group research: it was lab, named “R & D” instead of “lab”");
  assert.equal(of("group.removed", { members: 2, revoked_tokens: 1 }), "removed the group research, which had 2 members, and revoked 1 token");
  assert.equal(said("group.member_added", { group: "research" }), "added grace to the group research");
  assert.equal(said("group.member_removed", { group: "research" }), "removed grace from the group research");
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

test("a provider is added, changed and removed, and of a change the fields are named", () => {
  const of = (action, detail) => said(action, { provider: "east", ...detail }, null);
  assert.equal(of("provider.added", {}), "added the provider east");
  assert.equal(of("provider.changed", { changes: ["base_url", "keys"] }), "changed the provider east: base url, keys");
  assert.equal(of("provider.removed", {}), "removed the provider east");
});

test("a search of what others wrote is told with whose it was, if it was of one", () => {
  const entry = { action: "calls.searched", subject: { username: "ada" }, detail: { count: 1 } };
  assert.equal(whatWasDone(entry), "searched what ada wrote");
  assert.equal(whatWasDone({ ...entry, subject: null }), "searched what others wrote");
});
