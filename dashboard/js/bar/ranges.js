/** Time ranges by name, which the server resolves in a time zone, and the buckets of its answers. Pure. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** What ranges are called, in the order of a list. */
export const PRESETS = {
  today: "Today",
  yesterday: "Yesterday",
  "this-week": "This week",
  "last-week": "Last week",
  "this-month": "This month",
  "last-month": "Last month",
  "this-quarter": "This quarter",
  "last-quarter": "Last quarter",
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
};

const IN_DAYS = { today: 1, yesterday: 1, "this-week": 7, "last-week": 7, "this-month": 31, "last-month": 31, "this-quarter": 92, "last-quarter": 92, "1h": 1 / 24, "24h": 1, "7d": 7, "30d": 30, "90d": 90 };
const DAYS = /^(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$/;
const STEPS = { minute: 60, hour: 3600, day: 86_400, week: 7 * 86_400, month: 28 * 86_400 };

/** Whether a range has this name, which may be two days. */
export function isName(name) {
  return Object.hasOwn(PRESETS, name) || daysOf(name) !== null;
}

/** The first and the last day of a range between days, written as 2026-11-27; `null` where it is another range. */
export function daysOf(name) {
  const [, first, last] = DAYS.exec(name) ?? [];
  return Date.parse(first) <= Date.parse(last) ? [first, last] : null;
}

/** The name of the range between two days, both of them included; a last day before the first one is the first one. */
export function betweenDays(first, last) {
  return `${first}..${last < first ? first : last}`;
}

/** Whether a range goes on. */
export function goesOn({ preset, custom }) {
  return !custom && !preset.startsWith("last-") && preset !== "yesterday" && !daysOf(preset);
}

/** About how long a range is, in milliseconds. */
export function lengthOf({ preset, custom }) {
  if (custom) return custom.to - custom.from;
  const days = daysOf(preset);
  return days ? Date.parse(days[1]) - Date.parse(days[0]) + DAY : IN_DAYS[preset] * DAY;
}

/** The bucket that shows so much time best. */
export function bucketOf(length) {
  if (length <= 2.5 * DAY) return "hour";
  if (length <= 70 * DAY) return "day";
  return length <= 250 * DAY ? "week" : "month";
}

/**
 * The buckets of statistics as a chart draws them: `at` when each begins, in milliseconds, `drawn` the seconds at which it stands, and
 * their `step`. Days stand at their date, however long they are.
 */
export function bucketsOf({ buckets, bucket, tz }) {
  const at = buckets.map((one) => Date.parse(one));
  const isOfDays = STEPS[bucket] >= STEPS.day;
  return { at, drawn: at.map((one) => (isOfDays ? Date.parse(dateOf(one, tz)) : one) / 1000), step: STEPS[bucket] };
}

/** From when until when the buckets are that are drawn between so many seconds; `end` is that of the last one of all. */
export function timesBetween({ at, drawn }, from, to, end) {
  const first = drawn.findLastIndex((one) => one <= from + 1);
  const last = drawn.findLastIndex((one) => one < to - 1);
  return { from: at[Math.max(0, first)], to: at[last + 1] ?? end };
}

// What reads a calendar takes long to make.
const calendars = new Map();

/** The date of a moment in a zone, as 2026-11-27. */
export function dateOf(at, zone) {
  if (!calendars.has(zone)) calendars.set(zone, new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }));
  return calendars.get(zone).format(at);
}
