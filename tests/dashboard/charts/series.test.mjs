import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenRange } from "../../../dashboard/js/bar/range.js";
import { bucketsOf } from "../../../dashboard/js/bar/ranges.js";
import { bucketAt, bucketFor, dayTicks, earlier, groups, iso, leaders, mostGroups, parts, quantiles, seriesOf, spanOf, timeline } from "../../../dashboard/js/charts/series.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-11-25T12:34:56Z") / 1000;
const ANSWER = { from: "2026-11-25T00:00:00Z", to: "2026-11-25T04:00:00Z", bucket: "hour", group_by: ["model"] };
const calls = ({ interceptions }) => interceptions;

function figures(counts) {
  const points = counts.flatMap((interceptions, index) => (interceptions ? [{ at: iso(Date.parse(ANSWER.from) / 1000 + index * HOUR), interceptions }] : []));
  return { points, total: { interceptions: counts.reduce((sum, count) => sum + count, 0) } };
}

const model = (name, counts) => ({ group: { model: name }, ...figures(counts) });

const chosen = (params, tz = "UTC") => chosenRange({ ...params, tz }, "24h");
const at = (params, tz) => spanOf(chosen(params, tz), NOW * 1000);

test("a range ends in the bucket that is under way", () => {
  assert.deepEqual(at({}), { from: "2026-11-24T13:00:00.000Z", to: "", bucket: "hour", tz: "UTC" });
  assert.deepEqual(at({ range: "1h" }), { from: "2026-11-25T11:35:00.000Z", to: "", bucket: "minute", tz: "UTC" });
  assert.deepEqual(at({ range: "30d" }, "Asia/Tokyo"), { from: "2026-10-27T00:00:00.000Z", to: "", bucket: "day", tz: "UTC" });
  assert.deepEqual(at({ range: "constructor" }), at({}));
});

test("a range by name is that of the zone, and where bars are days that of UTC", () => {
  assert.deepEqual(at({ range: "today" }, "Europe/Berlin"), { from: "2026-11-24T23:00:00.000Z", to: "", bucket: "hour", tz: "Europe/Berlin" });
  assert.deepEqual(at({ range: "last-week" }, "Europe/Berlin"), { from: "2026-11-15T23:00:00.000Z", to: "2026-11-22T23:00:00.000Z", bucket: "hour", tz: "Europe/Berlin" });
  assert.deepEqual(at({ range: "last-month" }, "Europe/Berlin"), { from: "2026-10-01T00:00:00.000Z", to: "2026-11-01T00:00:00.000Z", bucket: "day", tz: "UTC" });
});

test("days of a zone that were chosen are these days of UTC where bars are days, and drawn bars are what they are", () => {
  const days = { bucket: "day", tz: "UTC", from: "2026-10-01T00:00:00.000Z", to: "2026-11-01T00:00:00.000Z" };
  assert.deepEqual(at({ from: "2026-10-01T04:00:00Z", to: "2026-11-01T04:00:00Z" }, "America/New_York"), days);
  assert.deepEqual(at({ from: days.from, to: days.to }, "America/New_York"), days);
});

test("no bucket is asked for that is not kept, and never more than the server answers", () => {
  assert.equal(bucketFor(NOW - 30 * DAY, NOW - 30 * DAY + HOUR, NOW), "hour");
  for (const days of [0.01, 0.25, 1, 7, 13.9, 14.1, 90, 1400]) {
    const seconds = { minute: 60, hour: HOUR, day: DAY }[bucketFor(NOW - days * DAY, NOW, NOW)];
    assert.ok((days * DAY) / seconds + 2 <= 1500, `${days} days`);
  }
});

test("buckets without calls are filled in", () => {
  assert.deepEqual(timeline(ANSWER).map(iso), [0, 1, 2, 3].map((hour) => `2026-11-25T0${hour}:00:00.000Z`));
  const [row] = parts(ANSWER, figures([0, 5, 0, 2]), [{ name: "Calls", pick: calls, colour: "c" }]);
  assert.deepEqual(row, { name: "Calls", colour: "c", values: [0, 5, 0, 2], total: 7 });
  const [gaps] = parts(ANSWER, figures([0, 5, 0, 2]), [{ name: "Calls", pick: calls }], null);
  assert.deepEqual(gaps.values, [null, 5, null, 2]);
});

test("the more buckets there are the fewer groups are asked for", () => {
  const of = (buckets) => mostGroups({ from: iso(NOW - buckets * DAY), to: iso(NOW), bucket: "day" }, 0);
  assert.deepEqual([1, 50, 60, 168, 1500].map(of), [20, 20, 16, 8, 8]);
  assert.equal(mostGroups({ from: iso(NOW - 60 * HOUR), to: "", bucket: "hour" }, NOW * 1000), 16);
});

test("groups are series, and what is in none of them is the last one", () => {
  const answer = { ...ANSWER, groups: [model("a", [1, 0, 0, 0])], other: figures([0, 2, 0, 0]) };
  assert.deepEqual(seriesOf(answer).map(({ group, other, total }) => [group, other, total.interceptions]), [["a", false, 1], [null, true, 2]]);
});

test("the largest groups come first and those that are too many are added up", () => {
  const many = Array.from({ length: 9 }, (_, index) => model(`m${index}`, [index, 0, 0, 1]));
  const answer = { ...ANSWER, groups: many, other: figures([100, 0, 0, 0]) };
  const rows = groups(answer, calls, leaders(answer, [calls]));
  assert.deepEqual(rows.map(({ name }) => name), ["m8", "m7", "m6", "m5", "m4", "m3", "m2", "Other"]);
  assert.deepEqual(rows.at(-1), { name: "Other", group: null, other: true, values: [101, 0, 0, 2], total: 103 });
});

test("a group that leads in anything has a row of its own, in every chart the same ones", () => {
  const many = Array.from({ length: 9 }, (_, index) => model(`m${index}`, [index + 1, 0, 0, 0]));
  const answer = { ...ANSWER, groups: many };
  const cost = (total) => (total === many[0].total ? 1000 : 0);
  const leading = leaders(answer, [calls, cost]);
  assert.deepEqual(leading, ["m0", "m8", "m7", "m6", "m5", "m4", "m3"]);
  assert.deepEqual(groups(answer, cost, leading).map(({ name }) => name), ["m0"]);
  const shown = groups(answer, calls, leading);
  assert.deepEqual(shown.map(({ name }) => name), ["m8", "m7", "m6", "m5", "m4", "m3", "m0", "Other"]);
  assert.equal(shown.at(-1).total, 5);
});

test("a moment is in the bucket that has begun, up to its end", () => {
  const times = [0, 1, 2].map((number) => number * DAY);
  assert.deepEqual([-1, 0, DAY - 1, DAY, 2.9 * DAY, 3 * DAY].map((at) => bucketAt(times, DAY, at)), [null, 0, 0, 1, 2, null]);
});

test("users are called by their names, and groups without any are left out", () => {
  const users = [{ id: "1", username: "ada" }, { id: "2", username: "none" }];
  const found = users.map((user, index) => ({ group: { user }, ...figures([1 - index, 0, 0, 0]) }));
  const answer = { ...ANSWER, group_by: ["user"], groups: found };
  assert.deepEqual(groups(answer, calls, ["ada", "none"]).map(({ name }) => name), ["ada"]);
});

test("quantiles are not added up", () => {
  const first = ({ interceptions }) => (interceptions > 1 ? interceptions : null);
  const answer = { ...ANSWER, groups: [model("a", [1, 0, 0, 0]), model("b", [0, 4, 0, 0])], other: figures([9, 9, 9, 9]) };
  assert.deepEqual(quantiles(answer, first, ["a", "b"]), [{ name: "b", group: "b", values: [null, 4, null, null], total: 4 }]);
});

test("the time before stands beside the buckets of now, first beside first", () => {
  const point = (at, interceptions) => ({ at, interceptions });
  const before = { from: "2026-11-24T21:00:00Z", to: "2026-11-25T00:00:00Z", total: { interceptions: 5 }, points: [point("2026-11-24T21:00:00Z", 2), point("2026-11-24T23:00:00Z", 3)] };
  assert.deepEqual(earlier({ ...ANSWER, previous: before }, calls), { name: "Time before", values: [2, 0, 3, null], total: 5 });
  assert.deepEqual(earlier({ ...ANSWER, to: "2026-11-25T02:00:00Z", previous: before }, calls).values, [2, 0]);
  assert.equal(earlier({ ...ANSWER, previous: { ...before, total: { interceptions: 0 } } }, calls), null);
  assert.equal(earlier(ANSWER, calls), null);
});

test("ticks of days, weeks and months are starts of buckets, none twice", () => {
  for (const bucket of ["day", "week", "month"]) {
    const { drawn, step } = bucketsOf({ from: Date.parse("2026-03-23T00:00:00Z"), to: Date.parse("2026-09-28T00:00:00Z") }, bucket, "Europe/Berlin");
    const { incrs, splits } = dayTicks(drawn, step);
    assert.equal(incrs[0], step); // no room makes a tick within a bucket
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[0]), drawn);
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[1]), drawn.filter((_, index) => index % 2 === 0));
    assert.deepEqual([...incrs].sort((one, another) => one - another), incrs); // uPlot searches in them
    assert.ok(incrs.every((distance) => distance % DAY === 0));
  }
});
