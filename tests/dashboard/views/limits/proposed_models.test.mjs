import assert from "node:assert/strict";
import { test } from "node:test";
import { modelsOf, patternsIn } from "../../../../dashboard/js/views/limits/proposed_models.js";

test("patterns are apart by commas and spaces", () => {
  assert.deepEqual(patternsIn(" claude-*, gpt-5\tgpt-4,, "), ["claude-*", "gpt-5", "gpt-4"]);
  assert.deepEqual(patternsIn(" , "), []);
});

test("what nobody typed is not proposed", () => {
  assert.deepEqual(modelsOf("claude-*", ""), { allow: ["claude-*"] });
  assert.deepEqual(modelsOf("claude-*", "claude-2 x"), { allow: ["claude-*"], deny: ["claude-2", "x"] });
  assert.equal(modelsOf(" ", ","), undefined);
});
