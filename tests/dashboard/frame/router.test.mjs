import assert from "node:assert/strict";
import { register } from "node:module";
import { test } from "node:test";

register("data:text/javascript," + encodeURIComponent(`
  export const resolve = (name, context, next) =>
    name === "preact/hooks" ? { url: "data:text/javascript,export const useEffect = 0, useState = 0", shortCircuit: true } : next(name, context);
`));
const { href, parse } = await import("../../../dashboard/js/frame/router.js");

test("an address leads back to where it was written", () => {
  for (const [view, id, params] of [
    ["overview", "", {}],
    ["interceptions", "a/b?c#d%", { q: 'model:"a & b" started_after:"2026-01-01T00:00:00Z" ? # %' }],
    ["sessions", "1", { q: "x" }],
  ]) {
    assert.deepEqual(parse(href(view, id, params)), { view, id, params });
  }
});

test("parameters without a value are left out", () => {
  assert.equal(href("interceptions", "", { q: "", x: undefined }), "#/interceptions");
});

test("a view is found by the name that its tab has", () => {
  assert.deepEqual(parse("#/calls/a?q=x"), { view: "interceptions", id: "a", params: { q: "x" } });
  assert.equal(parse("#/spend").view, "budgets");
});

test("any address is somewhere", () => {
  for (const hash of ["", "#", "#/", "#//", "#/?q=1"]) assert.equal(parse(hash).view, "overview");
  assert.deepEqual(parse("#/x/%E0%A4%A?y"), { view: "x", id: "%E0%A4%A", params: { y: "" } });
});
