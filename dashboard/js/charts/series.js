/** From statistics to what a chart draws. Pure; times are seconds since the epoch. */

import { termOf, valueName } from "./groups.js";

const MAX_SERIES = 7;
const TICK_BUCKETS = [1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 60, 90, 180, 365];
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MINUTES_KEPT = 7 * DAY;
const BUCKETS = { minute: 60_000, hour: HOUR, day: DAY };

/**
 * The bucket that shows so many milliseconds best, that began `age` before now. Those of a minute are kept for a week only, which has to
 * do for the time before too.
 */
export function bucketFor(length, age = length) {
  if (length <= 6 * HOUR && age < MINUTES_KEPT - 7 * HOUR) return "minute";
  return length <= 14 * DAY ? "hour" : "day";
}

/** The time of the API for so many seconds. */
export function iso(seconds) {
  return new Date(seconds * 1000).toISOString();
}

/** The last time of the API before so many seconds: a record has whole milliseconds, and a search includes both ends. */
export function justBefore(seconds) {
  return new Date(Math.round(seconds * 1000) - 1).toISOString();
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

/** The start of every bucket of statistics. */
export function timeline({ buckets }) {
  return buckets.map((at) => Date.parse(at) / 1000);
}

/** How many groups are asked for over a length of time: the more buckets, the fewer. */
export function mostGroups(length, bucket) {
  return Math.min(20, Math.max(8, Math.floor((1000 * BUCKETS[bucket]) / Math.max(BUCKETS[bucket], length))));
}

/** The groups of statistics by one dimension as series, and last what is in none of them. */
export function seriesOf({ groups: found, other, group_by: [by] }) {
  const series = found.map(({ group, ...figures }) => ({ group: group[by], other: false, ...figures }));
  return other ? [...series, { group: null, other: true, ...other }] : series;
}

/** What a group is called. */
export function groupName({ group, other }) {
  return other ? "Other" : valueName(group);
}

/** The address of the calls of a group, by what makes addresses of terms; undefined where no search finds them. */
export function groupHref({ group, other }, [by], drill) {
  const term = other ? null : termOf(by, group);
  return term ? drill(Object.fromEntries([term])) : undefined;
}

/** The parts of one series, each `{name, pick}`, as rows over time; a bucket without calls has `blank`. */
export function parts(stats, series, picks, blank = 0) {
  const times = timeline(stats);
  return picks.map(({ name, pick, ...rest }) => ({ ...rest, name, ...row(times, series, pick, blank) }));
}

/** All calls in the time range before, as a row beside the current buckets, first beside first; null without any. */
export function earlier(stats, pick) {
  const { previous } = stats;
  if (!previous?.total.interceptions) return null;
  const { values } = row(timeline(previous), previous, pick, 0);
  return { name: "Time before", values: timeline(stats).map((_, index) => values[index] ?? null), total: pick(previous.total) };
}

/** The names of the groups that every chart shows: those with the largest share of anything that is picked, that first. */
export function leaders(stats, picks) {
  const series = seriesOf(stats);
  const sums = picks.map((pick) => series.reduce((sum, { total }) => sum + pick(total), 0));
  const shareOf = ({ total }) => Math.max(...picks.map((pick, index) => (sums[index] ? pick(total) / sums[index] : 0)));
  return series
    .filter(({ other }) => !other)
    .sort((one, another) => shareOf(another) - shareOf(one))
    .slice(0, MAX_SERIES)
    .map(groupName);
}

/** The leaders of statistics as rows over time, largest first; all others are added up as Other. */
export function groups(stats, pick, leading) {
  const times = timeline(stats);
  const rows = seriesOf(stats)
    .map((series) => ({ name: groupName(series), group: series.group, other: series.other, ...row(times, series, pick, 0) }))
    .filter(({ total }) => total > 0)
    .sort((one, another) => one.other - another.other || another.total - one.total);
  const shown = rows.filter(({ other, name }) => !other && leading.includes(name));
  const rest = rows.filter((one) => !shown.includes(one));
  if (!rest.length) return shown;
  const values = times.map((_, index) => rest.reduce((sum, one) => sum + one.values[index], 0));
  return [...shown, { name: "Other", group: null, other: true, values, total: rest.reduce((sum, one) => sum + one.total, 0) }];
}

/** The leaders with a quantile each; quantiles cannot be added up, so there is no Other. */
export function quantiles(stats, pick, leading) {
  const times = timeline(stats);
  return seriesOf(stats)
    .filter((series) => !series.other && leading.includes(groupName(series)) && pick(series.total) !== null)
    .sort((one, another) => another.total.interceptions - one.total.interceptions)
    .map((series) => ({ name: groupName(series), group: series.group, ...row(times, series, pick, null) }));
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

function row(times, series, pick, blank) {
  const at = new Map(series.points.map((point) => [Date.parse(point.at) / 1000, pick(point)]));
  return { values: times.map((time) => at.get(time) ?? blank), total: pick(series.total) };
}
