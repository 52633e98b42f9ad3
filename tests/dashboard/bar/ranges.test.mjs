import assert from "node:assert/strict";
import { test } from "node:test";
import { betweenDays, bucketOf, bucketsOf, dateOf, daysOf, isName, lengthOf, PRESETS, timesBetween } from "../../../dashboard/js/bar/range.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const named = (preset) => ({ preset, custom: null });

test("a range is called by a name or by two days", () => {
  assert.ok(Object.keys(PRESETS).every(isName));
  assert.ok(isName("2026-11-01..2026-11-30"));
  for (const text of ["", "constructor", "2026-11-30..2026-11-01", "2026-13-01..2026-13-02", "2026-11-01"]) assert.ok(!isName(text), text);
  assert.equal(betweenDays("2026-10-25", "2026-10-01"), "2026-10-25..2026-10-25");
  assert.deepEqual(daysOf(betweenDays("2026-10-01", "2026-10-25")), ["2026-10-01", "2026-10-25"]);
});

test("a bucket fits the length of a range", () => {
  assert.ok(Object.keys(PRESETS).every((preset) => lengthOf(named(preset)) > 0));
  assert.equal(lengthOf(named("2026-10-25..2026-10-26")), 2 * DAY);
  assert.equal(lengthOf({ preset: "", custom: { from: HOUR, to: DAY } }), DAY - HOUR);
  assert.deepEqual([0.2, 1, 30, 100, 400].map((days) => bucketOf(days * DAY)), ["minute", "hour", "day", "week", "month"]);
});

test("days of an answer stand at their date, and hours where they are", () => {
  const buckets = ["2026-03-27T23:00:00.000Z", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"]; // clocks are changed
  const days = bucketsOf({ buckets, bucket: "day", tz: "Europe/Berlin" });
  assert.deepEqual(days.at, buckets.map((at) => Date.parse(at)));
  assert.deepEqual(days.drawn, [28, 29, 30].map((day) => Date.UTC(2026, 2, day) / 1000));
  assert.equal(days.step, 86_400);
  const hours = bucketsOf({ buckets, bucket: "hour", tz: "Europe/Berlin" });
  assert.deepEqual(hours.drawn, hours.at.map((at) => at / 1000));
  assert.equal(dateOf(Date.parse(buckets[0]), "UTC"), "2026-03-27");
});

test("what is drawn between two places is whole buckets", () => {
  const end = Date.parse("2026-03-30T22:00:00Z");
  const days = bucketsOf({ buckets: ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"], bucket: "day", tz: "Europe/Berlin" });
  const [first, second, third] = days.drawn;
  const between = (from, to) => Object.values(timesBetween(days, from, to, end));
  assert.deepEqual(between(second, second + days.step), [days.at[1], days.at[2]]);
  assert.deepEqual(between(second + 100, third + 100), [days.at[1], end]);
  assert.deepEqual(between(first - 500, first + 100), [days.at[0], days.at[1]]);
});
