import assert from "node:assert/strict";
import { test } from "node:test";
import { walk } from "../../../dashboard/js/charts/series.js";

const press = (key, where, shiftKey = false) => walk({ key, shiftKey }, { at: null, anchor: null, length: 24, ...where });

test("arrows go from bar to bar and stop at the ends", () => {
  assert.deepEqual(press("ArrowRight", {}), { at: 0, anchor: null });
  assert.deepEqual(press("ArrowLeft", {}), { at: 23, anchor: null });
  assert.deepEqual(press("ArrowRight", { at: 3 }), { at: 4, anchor: null });
  assert.deepEqual(press("ArrowRight", { at: 23 }), { at: 23, anchor: null });
  assert.deepEqual(press("ArrowLeft", { at: 0 }), { at: 0, anchor: null });
  assert.deepEqual(press("Home", { at: 9 }), { at: 0, anchor: null });
  assert.deepEqual(press("End", { at: 9 }), { at: 23, anchor: null });
});

test("with Shift a range is chosen, and an arrow alone gives it up", () => {
  assert.deepEqual(press("ArrowLeft", { at: 5 }, true), { at: 4, anchor: 5 });
  assert.deepEqual(press("ArrowLeft", { at: 4, anchor: 5 }, true), { at: 3, anchor: 5 });
  assert.deepEqual(press("ArrowLeft", { at: 3, anchor: 5 }), { at: 2, anchor: null });
});

test("Enter picks the bar, or the range", () => {
  assert.equal(press("Enter", {}), null);
  assert.deepEqual(press("Enter", { at: 5 }), { picked: [5, 5] });
  assert.deepEqual(press("Enter", { at: 3, anchor: 5 }), { picked: [3, 5] });
});

test("other keys are left to the page", () => assert.equal(press("j", { at: 1 }), null));
