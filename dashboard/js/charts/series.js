/** From statistics to what a chart draws. Pure; times are seconds since the epoch. */

import { valueName } from "./groups.js";

const MAX_SERIES = 7;
const TICK_BUCKETS = [1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 60, 90, 180, 365];
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MINUTES_KEPT = 7 * DAY;
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const GROWTH = 1.1;

/**
 * The bucket that shows so many milliseconds best, that began `age` before now. Those of a minute are kept for a week only, which has to
 * do for the time before too.
 */
export function bucketFor(length, age = length) {
  if (length <= 6 * HOUR && age < MINUTES_KEPT - 7 * HOUR) return "minute";
  return length <= 14 * DAY ? "hour" : "day";
}

/** The bucket of a timeline with a time; null outside of it. */
export function bucketAt(times, step, at) {
  const index = times.findLastIndex((start) => start <= at);
  return index >= 0 && at < times[index] + step ? index : null;
}

/** Ticks of days, weeks or months for uPlot: each at the start of a bucket, the distance between two is whole buckets. */
export function dayTicks(times, step) {
  return {
    incrs: TICK_BUCKETS.map((buckets) => buckets * step),
    splits: (_, __, ___, ____, distance) => times.filter((_____, index) => index % (distance / step) === 0),
  };
}

/** What is picked of points, at each of these starts in milliseconds; `blank` where there is none. */
export function placed(points, starts, pick, blank = 0) {
  const at = new Map(points.map((point) => [Date.parse(point.at), pick(point)]));
  return starts.map((start) => at.get(start) ?? blank);
}

/** All calls in the time range before, as a row beside the current buckets, first beside first; null without any. */
export function earlier({ buckets, previous }, pick) {
  if (!previous?.total.interceptions) return null;
  const values = placed(previous.points, previous.buckets.map(Date.parse), pick);
  return { name: "Time before", values: buckets.map((_, index) => values[index] ?? null), total: pick(previous.total) };
}

/** The same statistics with those groups first that have the largest share of anything that is picked. */
export function byShare({ groups, ...stats }, picks) {
  const sums = picks.map((pick) => groups.reduce((sum, { total }) => sum + pick(total), 0));
  const shareOf = ({ total }) => Math.max(...picks.map((pick, index) => (sums[index] ? pick(total) / sums[index] : 0)));
  return { ...stats, groups: groups.toSorted((one, another) => shareOf(another) - shareOf(one)) };
}

/**
 * Groups as the rows of a chart over these buckets, and last what is in none of those that are shown. With `blank`, which is what a
 * bucket without calls has, amounts cannot be added up: then nothing else is shown.
 */
export function chartRows({ groups, points, total, other, group_by: by }, starts, pick, blank = 0) {
  const amount = (figures) => pick(figures) ?? blank;
  const row = (name, colour, one, group = null) => ({ name, group, colour, values: placed(one.points, starts, amount, blank), total: amount(one.total) });
  if (!by.length) return [row("All", "series-1", { points, total })];
  const rows = groups.map((one, index) => row(by.map((name) => valueName(one.group[name], name)).join(" · "), `series-${index + 1}`, one, one.group));
  const shown = rows.slice(0, MAX_SERIES).filter((one) => one.total);
  const rest = [...rows.slice(MAX_SERIES), ...(other ? [row("Other", "", other)] : [])];
  const sum = rest.reduce((all, one) => all + one.total, 0);
  if (blank === null || !sum) return shown;
  return [...shown, { name: "Other", group: null, colour: "series-other", values: starts.map((_, at) => rest.reduce((all, { values }) => all + values[at], 0)), total: sum }];
}

/** The places of values that have no neighbour: a line does not show them. */
export function lonely(values) {
  const there = (index) => values[index] != null;
  return values.flatMap((_, index) => (there(index) && !there(index - 1) && !there(index + 1) ? [index] : []));
}

/** Rows one above the other: each value becomes the sum up to and with it. */
export function stacked(rows) {
  const sums = [];
  for (const { values } of rows) {
    const below = sums.at(-1);
    sums.push(values.map((value, index) => (value ?? 0) + (below ? below[index] : 0)));
  }
  return sums;
}

/**
 * What a key does: null if nothing, `{at, anchor}` the bucket that it leads to and the other end of the range that it chooses
 * (null without one), or `{picked: [first, last]}`, the buckets that are to be shown.
 *
 * @param {{key: string, shiftKey: boolean}} event
 * @param {{at: number | null, anchor: number | null, length: number}} where the bucket before; null if there is none.
 */
export function walk({ key, shiftKey }, { at, anchor, length }) {
  const last = length - 1;
  if (key === "Enter") return at === null ? null : { picked: anchor === null ? [at, at] : [Math.min(at, anchor), Math.max(at, anchor)] };
  if (key === "Home") return { at: 0, anchor: null };
  if (key === "End") return { at: last, anchor: null };
  if (!Object.hasOwn(STEPS, key)) return null;
  if (at === null) return { at: STEPS[key] > 0 ? 0 : last, anchor: null };
  return { at: Math.min(last, Math.max(0, at + STEPS[key])), anchor: shiftKey ? (anchor ?? at) : null };
}

/**
 * The buckets of a histogram of the API, put together to at most `most` bars of one width on a logarithmic axis: each with its
 * number of `calls`, also those without any between others, and the `upTo` of its last bucket.
 *
 * @param {{up_to: number, calls: number}[]} buckets each at most a tenth wider than the one before, those without calls left out.
 */
export function barsOf(buckets, most = 24) {
  if (!buckets.length) return [];
  const places = buckets.map(({ up_to: end }) => Math.round(Math.log(Math.max(end, 1)) / Math.log(GROWTH)));
  const first = places[0];
  const step = Math.ceil((places.at(-1) - first + 1) / most);
  const bars = Array.from({ length: Math.floor((places.at(-1) - first) / step) + 1 }, (_, index) => ({ upTo: GROWTH ** (first + step * (index + 1) - 1), calls: 0 }));
  buckets.forEach(({ calls }, index) => {
    bars[Math.floor((places[index] - first) / step)].calls += calls;
  });
  return bars;
}
