import assert from "node:assert/strict";
import { test } from "node:test";
import { orderOf, SORTS, sortRows, totalsOf } from "../../../../dashboard/js/views/accounts/row_figures.js";

const ROWS = [{ id: "a", seen: "2026-11-02T00:00:00.000Z" }, { id: "b", seen: null }, { id: "c", seen: "2026-11-03T00:00:00.000Z" }, { id: "d", seen: null }];
const GROUPS = [
  { group: { user: { id: "c" } }, total: { interceptions: 1, failed: 1, tokens: 9, cost_usd: null } },
  { group: { user: { id: "b" } }, total: { interceptions: 3, failed: 0, tokens: 5, cost_usd: 0.5 } },
];

test("rows are sorted by their totals, and equal ones stay as they were", () => {
  const totals = totalsOf(GROUPS, "user");
  const sorted = (sort) => sortRows(ROWS, totals, sort, ({ seen }) => seen).map(({ id }) => id).join("");
  assert.deepEqual(Object.keys(SORTS).map(sorted), ["bacd", "bcad", "cbad", "cabd", "cabd"]);
  assert.deepEqual(["", undefined, "name", "toString"].map(sorted), Array(4).fill("abcd"));
  assert.equal(sortRows(ROWS, {}, "cost").map(({ id }) => id).join(""), "abcd");
});

test("groups of nobody are nobody's, and the API sorts by what it knows", () => {
  const total = { interceptions: 1 };
  assert.deepEqual(totalsOf([{ group: { group: { id: null } }, total }, { group: { group: null }, total }], "group"), { "": total });
  assert.deepEqual(["cost", "failed", "used", "", undefined].map(orderOf), ["cost", "failed", "calls", "calls", "calls"]);
});
