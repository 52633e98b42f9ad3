import assert from "node:assert/strict";
import { test } from "node:test";
import { speed, waits } from "../../../../dashboard/js/text/format.js";

test("waits are those of half of the calls and of most", () => {
  assert.equal(waits({ p50: 412, p95: 2210 }), "412 ms, p95 2.21 s");
});

test("the speed has a digit more where it is slow", () => {
  assert.equal(speed({ p50: 71.4 }), "71 tokens/s");
  assert.equal(speed({ p50: 4.25 }), "4.3 tokens/s");
});
