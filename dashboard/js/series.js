/** From an answer of the statistics to what a chart draws. Pure; times are seconds since the epoch. */

export const BUCKETS = { minute: 60, hour: 3600, day: 86_400 };
const MOST_SERIES = 7;
const MINUTES_KEPT = 7 * BUCKETS.day;

export const RANGES = { "1h": BUCKETS.hour, "24h": BUCKETS.day, "7d": 7 * BUCKETS.day, "30d": 30 * BUCKETS.day, "90d": 90 * BUCKETS.day };

/** The bucket that shows a span of seconds best; those of a minute are kept for a week only. */
export function bucketFor(from, to, now) {
  if (to - from <= 6 * BUCKETS.hour && now - from < MINUTES_KEPT - BUCKETS.hour) return "minute";
  return to - from <= 14 * BUCKETS.day ? "hour" : "day";
}

/** What to ask of the statistics: a range of RANGES up to `now`, or between two times of the address. */
export function spanOf({ range, from, to }, now) {
  const start = Date.parse(from) / 1000;
  const end = Date.parse(to) / 1000;
  if (start < end) return { from: iso(start), to: iso(end), bucket: bucketFor(start, end, now) };
  const seconds = RANGES[Object.hasOwn(RANGES, range ?? "") ? range : "24h"];
  const bucket = bucketFor(now - seconds, now, now);
  const step = BUCKETS[bucket];
  return { from: iso(Math.floor((now - seconds) / step) * step + step), to: "", bucket };
}

/** The time of the API for so many seconds. */
export function iso(seconds) {
  return new Date(seconds * 1000).toISOString();
}

/** The start of every bucket between `from` and `to` of an answer. */
export function timeline({ from, to, bucket }) {
  const step = BUCKETS[bucket];
  const start = Date.parse(from) / 1000;
  const length = Math.max(0, Math.round((Date.parse(to) / 1000 - start) / step));
  return Array.from({ length }, (_, index) => start + index * step);
}

/** What a group is called. */
export function groupName({ group, other }) {
  if (other) return "Other";
  if (group === null) return "All";
  return typeof group === "string" ? group : group.username;
}

/** All tokens of some figures. */
export function tokensOf({ token_usage: usage }) {
  return Object.values(usage).reduce((sum, count) => sum + count, 0);
}

/** Failed calls of some figures. */
export function failedOf({ failures }) {
  return Object.values(failures).reduce((sum, count) => sum + count, 0);
}

/** The parts of one series, each `{name, pick}`, as rows over time; a bucket without calls has `blank`. */
export function parts(answer, series, picks, blank = 0) {
  const times = timeline(answer);
  return picks.map(({ name, pick, ...rest }) => ({ ...rest, name, ...row(times, series, pick, blank) }));
}

/** The groups of an answer as rows over time, largest first; those that are too many are added up as Other. */
export function groups(answer, pick) {
  const times = timeline(answer);
  const rows = answer.series
    .map((series) => ({ name: groupName(series), group: series.group, other: series.other, ...row(times, series, pick, 0) }))
    .filter(({ total }) => total > 0)
    .sort((one, another) => one.other - another.other || another.total - one.total);
  const shown = rows.filter(({ other }) => !other).slice(0, MOST_SERIES);
  const rest = rows.filter((one) => !shown.includes(one));
  if (!rest.length) return shown;
  const values = times.map((_, index) => rest.reduce((sum, one) => sum + one.values[index], 0));
  return [...shown, { name: "Other", group: null, other: true, values, total: rest.reduce((sum, one) => sum + one.total, 0) }];
}

/** The largest groups with a quantile each; quantiles cannot be added up, so there is no Other. */
export function quantiles(answer, pick) {
  const times = timeline(answer);
  return answer.series
    .filter(({ other, total }) => !other && pick(total) !== null)
    .sort((one, another) => another.total.interceptions - one.total.interceptions)
    .slice(0, MOST_SERIES)
    .map((series) => ({ name: groupName(series), group: series.group, ...row(times, series, pick, null) }));
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
