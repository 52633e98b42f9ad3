import assert from "node:assert/strict";
import { test } from "node:test";
import { PRESETS, bucketOf, bucketsOf, dateIn, midnight, presetRange, presetSpan } from "../../../dashboard/js/bar/ranges.js";

const NOW = Date.parse("2026-03-30T09:12:00Z"); // a Monday, the day after clocks were changed in Europe
const DAY = 86_400_000;
const iso = (range) => range && [range.from, range.to].map((at) => new Date(at).toISOString().slice(0, 16));

test("presets are those of the zone, and go on until the next hour", () => {
  assert.deepEqual(iso(presetRange("today", "Europe/Berlin", NOW)), ["2026-03-29T22:00", "2026-03-30T10:00"]);
  assert.deepEqual(iso(presetRange("yesterday", "Europe/Berlin", NOW)), ["2026-03-28T23:00", "2026-03-29T22:00"]);
  assert.deepEqual(iso(presetRange("this-week", "UTC", NOW)), ["2026-03-30T00:00", "2026-03-30T10:00"]);
  assert.deepEqual(iso(presetRange("last-week", "Europe/Berlin", NOW)), ["2026-03-22T23:00", "2026-03-29T22:00"]);
  assert.deepEqual(iso(presetRange("this-month", "America/New_York", NOW)), ["2026-03-01T05:00", "2026-03-30T10:00"]);
  assert.deepEqual(iso(presetRange("last-month", "UTC", NOW)), ["2026-02-01T00:00", "2026-03-01T00:00"]);
  assert.deepEqual(iso(presetRange("this-quarter", "UTC", NOW)), ["2026-01-01T00:00", "2026-03-30T10:00"]);
  assert.deepEqual(iso(presetRange("last-quarter", "UTC", NOW)), ["2025-10-01T00:00", "2026-01-01T00:00"]);
  assert.deepEqual(iso(presetRange("24h", "Asia/Kolkata", NOW)), ["2026-03-29T10:00", "2026-03-30T10:00"]);
  assert.equal(presetRange("constructor", "UTC", NOW), null);
  for (const preset of Object.keys(PRESETS)) {
    const { from, to } = presetRange(preset, "America/Sao_Paulo", NOW);
    assert.ok(from < to);
  }
});

test("a list has the moment, and no end where the range goes on", () => {
  const span = (preset) => {
    const { from, to } = presetSpan(preset, "Europe/Berlin", NOW + 1234);
    return [new Date(from).toISOString().slice(0, 19), to && new Date(to).toISOString().slice(0, 16)];
  };
  assert.deepEqual(span("24h"), ["2026-03-29T09:12:01", null]);
  assert.deepEqual(span("today"), ["2026-03-29T22:00:00", null]);
  assert.deepEqual(span("this-quarter"), ["2025-12-31T23:00:00", null]);
  assert.deepEqual(span("yesterday"), ["2026-03-28T23:00:00", "2026-03-29T22:00"]);
  assert.equal(presetSpan("", "UTC", NOW), null);
});

test("days begin at midnight of any zone", () => {
  for (const zone of ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Australia/Lord_Howe"]) {
    const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    for (let day = 1; day <= 365; day += 1) {
      const start = midnight(zone, 2026, 1, day);
      assert.equal(clock.format(start), "00:00", `${zone} ${day}`);
      assert.notDeepEqual(dateIn(zone, start - 1), dateIn(zone, start));
    }
  }
});

test("buckets leave nothing out and stand at their date", () => {
  const range = presetRange("last-month", "Europe/Berlin", Date.parse("2026-04-15T12:00:00Z"));
  assert.equal(bucketOf(range), "day");
  const { at, drawn, step } = bucketsOf(range, "day", "Europe/Berlin");
  assert.deepEqual([at.length, at[0], drawn[0], step], [31, range.from, Date.UTC(2026, 2, 1) / 1000, 86_400]);
  assert.equal(at[29] - at[28], 23 * 3_600_000); // the day of the change
  assert.deepEqual([at[28], drawn[28]].map((one) => new Date(one).getTime()), [midnight("Europe/Berlin", 2026, 3, 29), Date.UTC(2026, 2, 29) / 1000]);
  assert.equal(bucketsOf({ from: NOW, to: NOW + 2 * DAY }, "hour", "UTC").at.length, 48);
  const weeks = bucketsOf({ from: midnight("UTC", 2026, 1, 7), to: midnight("UTC", 2026, 1, 20) }, "week", "UTC");
  assert.deepEqual(weeks.at.map((one) => new Date(one).toISOString().slice(0, 10)), ["2026-01-05", "2026-01-12", "2026-01-19"]);
  const months = bucketsOf({ from: midnight("UTC", 2025, 11, 20), to: midnight("UTC", 2026, 2, 1) }, "month", "UTC");
  assert.deepEqual(months.at.map((one) => new Date(one).toISOString().slice(0, 7)), ["2025-11", "2025-12", "2026-01"]);
  assert.deepEqual([1, 30, 100, 400].map((days) => bucketOf({ from: 0, to: days * DAY })), ["hour", "day", "week", "month"]);
});
