import assert from "node:assert/strict";
import { test } from "node:test";
import { median, unusual, usualIfFarBelow } from "../../../dashboard/js/text/unusual.js";

// Four weeks that end on a Thursday.
const DAYS = Array.from({ length: 28 }, (_, at) => new Date(Date.UTC(2026, 10, 6 + at)).toISOString());
const figures = (change) => ({ interceptions: 100, failed: 1, cost_usd: 2, ...change });
const stats = (group, latest, usual = {}, back = 0) => ({
  buckets: DAYS,
  bucket: "day",
  tz: "UTC",
  groups: [{ group, points: DAYS.map((at, index) => ({ at, ...figures(index === 27 - back ? latest : usual) })) }],
});
const NOTHING = { results: [] };
const MODELS = (today) => stats({ model: "gpt-5" }, today);
const USERS = (latest, usual, back) => stats({ user: { username: "ada" } }, latest, usual, back);

test("a median is in the middle", () => {
  [[[3, 1, 2], 2], [[4, 1, 2, 3], 2.5], [[7], 7]].forEach(([values, middle]) => assert.equal(median(values), middle));
});

test("a day is far above others of its kind, of which there are enough", () => {
  const days = DAYS.map((one) => Date.parse(one) / 1000);
  const of = (usual, today, weekend = usual) => days.map((at, index) => (index === 27 ? today : [0, 6].includes(new Date(at * 1000).getUTCDay()) ? weekend : usual));
  assert.equal(usualIfFarBelow(of(2, 7), days), 2);
  assert.equal(usualIfFarBelow(of(2, 5), days), null);
  assert.equal(usualIfFarBelow(of(2, 7, 90), days), 2);
  assert.equal(usualIfFarBelow(of(0, 7), days), null);
  assert.equal(usualIfFarBelow(days.map((_, index) => (index % 2 ? 40 : 2)), days), null);
  assert.equal(usualIfFarBelow(of(2, 7).slice(-7), days.slice(-7)), null);
});

test("nothing is said where nothing is unusual", () => {
  assert.deepEqual(unusual(NOTHING, MODELS({}), USERS({})), []);
  assert.deepEqual(unusual(NOTHING, MODELS({ failed: 9 }), USERS({ cost_usd: 4 }, { cost_usd: 1 })), []);
  assert.deepEqual(unusual({ results: [{ new: false, kind: "call" }, { new: true, kind: "refusal", calls: 9 }, { new: true, kind: "call", calls: 2 }] }, MODELS({}), USERS({})), []);
});

test("new errors, models that fail and users who spend more than usual are named with where to look", () => {
  const error = { new: true, kind: "call", provider: "openai", template: "overloaded", type: "", calls: 4, users: 1 };
  const found = unusual({ results: [error] }, MODELS({ failed: 30 }), USERS({ cost_usd: 40 }));
  assert.deepEqual(
    found.map(({ text }) => text),
    ["New error of openai: overloaded; 4 calls of 1 user", "gpt-5: 30 % of calls failed today; 1 % is usual", "ada spent $40.00 today; $2.00 a day is usual"],
  );
  assert.deepEqual(
    found.map(({ link }) => link.replace(/range=today/, "..")),
    ["#/errors?range=7d", "#/interceptions?q=status%3Afailed+model%3Agpt-5&..", "#/explore?q=user%3Aada&by=model&.."],
  );
  const [{ text, link }] = unusual(NOTHING, MODELS({}), USERS({ cost_usd: 40 }, {}, 1));
  assert.deepEqual([text, link.slice(-15)], ["ada spent $40.00 yesterday; $2.00 a day is usual", "range=yesterday"]);
  assert.equal(unusual({ results: Array(5).fill(error) }, MODELS({}), USERS({})).length, 3);
});
