import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketAt, bucketFor, byShare, chartRows, dayTicks, earlier } from "../../../dashboard/js/charts/series.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const BUCKETS = [0, 1, 2, 3].map((hour) => `2026-11-25T0${hour}:00:00.000Z`);
const ANSWER = { from: BUCKETS[0], to: "2026-11-25T04:00:00Z", buckets: BUCKETS, bucket: "hour", group_by: ["model"] };
const calls = ({ interceptions }) => interceptions;

function figures(counts) {
  const points = counts.flatMap((interceptions, index) => (interceptions ? [{ at: new Date(Date.parse(ANSWER.from) + index * 1000 * HOUR).toISOString(), interceptions }] : []));
  return { points, total: { interceptions: counts.reduce((sum, count) => sum + count, 0) } };
}

const model = (name, counts) => ({ group: { model: name }, ...figures(counts) });

test("no bucket is asked for that is not kept, and never more than the server answers", () => {
  const day = 86_400_000;
  assert.equal(bucketFor(3_600_000, 30 * day), "hour");
  assert.equal(bucketFor(3_600_000, null), "minute");
  for (const days of [0.01, 0.25, 1, 7, 13.9, 14.1, 90, 1400]) {
    const seconds = { minute: 60, hour: HOUR, day: DAY }[bucketFor(days * day)];
    assert.ok((days * DAY) / seconds + 2 <= 1500, `${days} days`);
  }
});

test("those lead that have the largest share of anything, and what is too much for a chart is other", () => {
  const many = Array.from({ length: 9 }, (_, index) => model(`m${index}`, [index + 1, 0, 0, 0]));
  const cost = (total) => (total === many[0].total ? 1000 : 0);
  const sorted = byShare({ ...ANSWER, groups: many, other: figures([0, 100, 0, 0]) }, [calls, cost]);
  const rows = chartRows(sorted, BUCKETS.map(Date.parse), calls);
  assert.deepEqual(rows.map(({ name }) => name), ["m0", "m8", "m7", "m6", "m5", "m4", "m3", "Other"]);
  assert.deepEqual(rows.at(-1), { name: "Other", group: null, colour: "series-other", values: [5, 100, 0, 0], total: 105 });
  assert.deepEqual(chartRows(sorted, BUCKETS.map(Date.parse), cost).map(({ name, colour }) => [name, colour]), [["m0", "series-1"]]);
});

test("quantiles are not added up", () => {
  const first = ({ interceptions }) => (interceptions > 1 ? interceptions : null);
  const answer = { ...ANSWER, groups: [model("a", [1, 0, 0, 0]), model("b", [0, 4, 0, 0])], other: figures([9, 9, 9, 9]) };
  const rows = chartRows(answer, BUCKETS.map(Date.parse), first, null);
  assert.deepEqual(rows.map(({ name, values, total }) => [name, values, total]), [["b", [null, 4, null, null], 4]]);
});

test("a moment is in the bucket that has begun, up to its end", () => {
  const times = [0, 1, 2].map((number) => number * DAY);
  assert.deepEqual([-1, 0, DAY - 1, DAY, 2.9 * DAY, 3 * DAY].map((at) => bucketAt(times, DAY, at)), [null, 0, 0, 1, 2, null]);
});

test("the time before stands beside the buckets of now, first beside first", () => {
  const point = (at, interceptions) => ({ at, interceptions });
  const buckets = [21, 22, 23].map((hour) => `2026-11-24T${hour}:00:00Z`);
  const before = { buckets, total: { interceptions: 5 }, points: [point("2026-11-24T21:00:00Z", 2), point("2026-11-24T23:00:00Z", 3)] };
  assert.deepEqual(earlier({ ...ANSWER, previous: before }, calls), { name: "Time before", values: [2, 0, 3, null], total: 5 });
  assert.deepEqual(earlier({ ...ANSWER, buckets: BUCKETS.slice(0, 2), previous: before }, calls).values, [2, 0]);
  assert.equal(earlier({ ...ANSWER, previous: { ...before, total: { interceptions: 0 } } }, calls), null);
  assert.equal(earlier(ANSWER, calls), null);
});

test("ticks of days, weeks and months are starts of buckets, none twice", () => {
  for (const step of [DAY, 7 * DAY, 28 * DAY]) {
    const drawn = Array.from({ length: 9 }, (_, index) => Date.UTC(2026, 2, 23) / 1000 + index * step);
    const { incrs, splits } = dayTicks(drawn, step);
    assert.equal(incrs[0], step); // no room makes a tick within a bucket
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[0]), drawn);
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[1]), drawn.filter((_, index) => index % 2 === 0));
    assert.deepEqual([...incrs].sort((one, another) => one - another), incrs); // uPlot searches in them
    assert.ok(incrs.every((distance) => distance % DAY === 0));
  }
});
