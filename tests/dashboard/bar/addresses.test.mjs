import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, isSame, savedOf } from "../../../dashboard/js/bar/addresses.js";
import { parse } from "../../../dashboard/js/frame/router.js";

test("what is saved of an address leads to it again, without the call that is open", () => {
  const saved = savedOf(parse("#/interceptions/1b2c?q=model%3Ademo&range=last-week&tz="));
  assert.deepEqual(saved, { page: "interceptions", query: { q: "model:demo", range: "last-week" } });
  assert.equal(addressOf(saved), "#/interceptions?q=model%3Ademo&range=last-week");
  assert.deepEqual(savedOf(parse(addressOf(saved))), saved);
});

test("of usage, a provider, a user and a group it is kept whose they are", () => {
  for (const [address, query] of [
    ["#/usage/grace?range=last-week", { of: "grace", range: "last-week" }],
    ["#/usage", {}],
    ["#/providers/an%2Fother?range=24h", { of: "an/other", range: "24h" }],
    ["#/users/grace?order=cost", { of: "grace", order: "cost" }],
    ["#/groups?range=last-month", { range: "last-month" }],
  ]) {
    const saved = savedOf(parse(address));
    assert.deepEqual(saved.query, query);
    assert.equal(addressOf(saved), address);
  }
});

test("two views are the same that lead to the same address, in whatever order", () => {
  const one = { page: "explore", query: { q: "x", range: "7d" } };
  assert.ok(isSame(one, { query: { range: "7d", q: "x" }, page: "explore", name: "week" }));
  assert.ok(!isSame(one, { ...one, page: "errors" }));
  assert.ok(!isSame(one, { ...one, query: { q: "x" } }));
});
