import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutNow, betweenDays, chosenRange, daysOf, hoursOf, isOfDays, OWN_ZONE, rangeParams, rangeText, searchWithin, withoutTimes, withRangeApart } from "../../../dashboard/js/bar/range.js";

const NOW = Date.parse("2026-11-25T12:34:56.789Z");
const BERLIN = { tz: "Europe/Berlin" };
const iso = ({ from, to }) => [from, to].map((at) => new Date(at).toISOString().slice(0, 16));

test("a range is a name, or two times, or what is usual", () => {
  assert.deepEqual(chosenRange({ range: "7d", ...BERLIN }), { preset: "7d", custom: null, tz: "Europe/Berlin" });
  assert.deepEqual(chosenRange({}, "7d"), { preset: "7d", custom: null, tz: OWN_ZONE });
  assert.deepEqual(chosenRange({ range: "constructor", tz: "Nowhere/Else" }), { preset: "", custom: null, tz: OWN_ZONE });
  const times = { from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" };
  assert.deepEqual(chosenRange({ range: "7d", ...times }).custom, { from: Date.parse(times.from), to: Date.parse(times.to) });
  assert.equal(chosenRange({ range: "7d", from: times.to, to: times.from }).preset, "7d");
});

test("a range that is carried to another view is a name or two times, and what is usual in the first one", () => {
  const times = { from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" };
  assert.deepEqual(rangeParams({ q: "x", ...times, tz: "UTC" }, "7d"), { range: "", ...times, tz: "UTC" });
  assert.equal(rangeParams({}, "7d").range, "7d");
  assert.equal(rangeParams({}).range, "");
});

test("a search within a range has its first and its last moment, but for times of its own", () => {
  const within = (q, params) => searchWithin(q, chosenRange({ ...params, ...BERLIN }), NOW);
  assert.equal(within("model:m", { range: "1h" }), 'model:m started_after:"2026-11-25T11:34:56.000Z"');
  assert.equal(within("", { range: "yesterday" }), 'started_after:"2026-11-23T23:00:00.000Z" started_before:"2026-11-24T22:59:59.999Z"');
  assert.equal(within("model:m", {}), "model:m");
  for (const q of ["since:15m", "until:1h", 'started_after:"2026-01-01T00:00:00Z"', 'started_before:"2026-01-01T00:00:00Z"']) {
    assert.equal(within(q, { range: "7d" }), q);
    assert.equal(withoutTimes(`${q} model:m`), "model:m");
  }
});

test("a relative time that is typed becomes the range where it has a name", () => {
  assert.deepEqual(withRangeApart("model:m since:24h"), { q: "model:m", range: "24h" });
  assert.deepEqual(withRangeApart("since:15m"), { q: "since:15m" });
  assert.deepEqual(withRangeApart("model:m"), { q: "model:m" });
});

test("days that are chosen are whole days of the zone, also when clocks are changed", () => {
  const days = betweenDays("2026-10-25", "2026-10-25", "Europe/Berlin");
  assert.deepEqual(iso(days), ["2026-10-24T22:00", "2026-10-25T23:00"]);
  assert.deepEqual(daysOf(days, "Europe/Berlin"), ["2026-10-25", "2026-10-25"]);
  assert.deepEqual(betweenDays("2026-10-25", "2026-10-01", "Europe/Berlin"), days);
  assert.equal(rangeText(days, "Europe/Berlin", Date.UTC(2026, 11, 1)), "25 Oct 00:00 to 26 Oct 00:00");
  assert.equal(rangeText(days, "Europe/Berlin", Date.UTC(2027, 0, 1)), "25 Oct 2026 00:00 to 26 Oct 2026 00:00");
  const december = { from: Date.UTC(2026, 11, 1), to: Date.UTC(2027, 0, 1) };
  assert.equal(rangeText(december, "UTC", Date.UTC(2026, 11, 31)), "1 Dec 00:00 to 1 Jan 00:00");
  assert.ok(isOfDays(days, "Europe/Berlin"));
  assert.ok(!isOfDays(days, "UTC"));
  assert.ok(!isOfDays({ ...days, to: days.to - 3_600_000 }, "Europe/Berlin"));
});

test("who begins to choose days has those of the range before, and else the last week", () => {
  assert.deepEqual(iso(aboutNow(chosenRange({ range: "last-month", tz: "UTC" }), NOW)), ["2026-10-01T00:00", "2026-11-01T00:00"]);
  assert.deepEqual(iso(aboutNow(chosenRange({ range: "today", tz: "UTC" }), NOW)), ["2026-11-25T00:00", "2026-11-26T00:00"]);
  assert.deepEqual(iso(aboutNow(chosenRange({ tz: "UTC" }), NOW)), ["2026-11-18T00:00", "2026-11-26T00:00"]);
});

test("a range in hours ends with the hour, or where it was drawn", () => {
  const hours = (params) => hoursOf(chosenRange({ ...params, ...BERLIN }, "24h"), NOW);
  assert.deepEqual(hours({}), { from: "2026-11-24T13:00:00.000Z", to: "2026-11-25T13:00:00.000Z" });
  assert.deepEqual(hours({ range: "yesterday" }), { from: "2026-11-23T23:00:00.000Z", to: "2026-11-24T23:00:00.000Z" });
  const drawn = { from: "2026-11-01T00:30:00.000Z", to: "2026-11-01T02:00:00.000Z" };
  assert.deepEqual(hours(drawn), drawn);
});
