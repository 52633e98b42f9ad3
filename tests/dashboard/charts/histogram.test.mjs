import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf } from "../../../dashboard/js/charts/series.js";

const bucket = (place, calls) => ({ up_to: Math.round(1.1 ** place * 10) / 10, calls });

test("buckets become a few bars that have all calls, also empty ones between others", () => {
  const bars = barsOf([bucket(0, 1), bucket(30, 2), bucket(31, 3), bucket(99, 4)], 10);
  assert.equal(bars.length, 10);
  assert.deepEqual(bars.map(({ calls }) => calls), [1, 0, 0, 5, 0, 0, 0, 0, 0, 4]);
  assert.ok(bars.at(-1).upTo >= 1.1 ** 99);
});

test("few buckets stay as they are, and none are none", () => {
  assert.deepEqual(barsOf([]), []);
  assert.deepEqual(barsOf([bucket(20, 7)]).map(({ upTo, calls }) => [Math.round(upTo * 10) / 10, calls]), [[6.7, 7]]);
  assert.deepEqual(barsOf([bucket(40, 1), bucket(42, 2)]).map(({ calls }) => calls), [1, 0, 2]);
});
