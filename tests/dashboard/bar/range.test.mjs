import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutNow, asked, chosenRange, OWN_ZONE, rangeParams, rangeText, searchWithin, timesOf, withoutTimes, withRangeApart } from "../../../dashboard/js/bar/range.js";

const NOW = Date.parse("2026-11-25T12:34:56.789Z");
const BERLIN = { tz: "Europe/Berlin" };

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

test("a search within a range names it, but for times of its own", () => {
  const within = (q, params) => searchWithin(q, chosenRange({ ...params, ...BERLIN }));
  assert.equal(within("model:m", { range: "1h" }), "model:m range:1h tz:Europe/Berlin");
  assert.equal(within("", { range: "2026-11-01..2026-11-30" }), "range:2026-11-01..2026-11-30 tz:Europe/Berlin");
  assert.equal(within("", { from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" }), 'started_after:"2026-11-01T00:00:00.000Z" started_before:"2026-11-01T23:59:59.999Z"');
  assert.equal(within("model:m", {}), "model:m");
  for (const q of ["since:15m", "until:1h", 'started_after:"2026-01-01T00:00:00Z"', 'started_before:"2026-01-01T00:00:00Z"', "range:today tz:UTC"]) {
    assert.equal(within(q, { range: "7d" }), q);
    assert.equal(withoutTimes(`${q} model:m`), "model:m");
  }
});

test("a relative time that is typed becomes the range where it has a name", () => {
  assert.deepEqual(withRangeApart("model:m since:24h"), { q: "model:m", range: "24h" });
  assert.deepEqual(withRangeApart("since:15m"), { q: "since:15m" });
  assert.deepEqual(withRangeApart("model:m"), { q: "model:m" });
});

test("who begins to choose days has those of the range before, and else the last week", () => {
  assert.equal(aboutNow(chosenRange({ range: "2026-10-01..2026-10-31", tz: "UTC" }), NOW), "2026-10-01..2026-10-31");
  assert.equal(aboutNow(chosenRange({ range: "today", tz: "UTC" }), NOW), "2026-11-19..2026-11-25");
  assert.equal(aboutNow(chosenRange({ tz: "Pacific/Kiritimati" }), NOW), "2026-11-20..2026-11-26");
});

test("a range is asked for by its name and zone, or by its times", () => {
  const params = (range) => asked(chosenRange({ ...range, ...BERLIN }));
  assert.deepEqual(params({ range: "yesterday" }), { range: "yesterday", tz: "Europe/Berlin" });
  const drawn = { from: "2026-11-01T00:30:00.000Z", to: "2026-11-01T02:00:00.000Z" };
  assert.deepEqual(params(drawn), drawn);
  assert.deepEqual(params({}), {});
});

test("a range is told with the years unless both are that of now", () => {
  const days = timesOf({ from: "2026-10-24T22:00:00Z", to: "2026-10-25T23:00:00Z" });
  assert.equal(rangeText(days, "Europe/Berlin", Date.UTC(2026, 11, 1)), "25 Oct 00:00 to 26 Oct 00:00");
  assert.equal(rangeText(days, "Europe/Berlin", Date.UTC(2027, 0, 1)), "25 Oct 2026 00:00 to 26 Oct 2026 00:00");
  const december = { from: Date.UTC(2026, 11, 1), to: Date.UTC(2027, 0, 1) };
  assert.equal(rangeText(december, "UTC", Date.UTC(2026, 11, 31)), "1 Dec 00:00 to 1 Jan 00:00");
});
