/**
 * The range of an address, the same in every view: by a name that the server resolves in a zone, between days, as a search; and the
 * buckets of statistics. Pure; times are milliseconds since the epoch.
 */

import { valueOf, withTerm } from "./query.js";

export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const TIMES = ["since", "until", "started_after", "started_before", "range", "tz"];
const DAY = 86_400_000;

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

/**
 * The range of an address as `{preset, custom, tz}`: a name, or two times, or neither, which is all time. `usual` is what an address
 * means without one.
 */
export function chosenRange({ range, from, to, tz }, usual = "") {
  const named = isName(range ?? "") ? range : usual;
  const [start, end] = [Date.parse(from), Date.parse(to)];
  const custom = start < end ? { from: start, to: end } : null;
  return { preset: custom ? "" : named, custom, tz: isZone(tz) ? tz : OWN_ZONE };
}

/** What an address says of its range and zone that is not known; empty where all is. */
export function unknownOf({ range, tz }) {
  return [range && !isName(range) && range, tz && !isZone(tz) && tz].filter(Boolean).join(" and ");
}

/** The same as the parameters of the API; none for all time. */
export function asked({ preset, custom, tz }) {
  if (custom) return { from: new Date(custom.from).toISOString(), to: new Date(custom.to).toISOString() };
  return preset ? { range: preset, tz } : {};
}

/** The times of an answer of the API. */
export function timesOf({ from, to }) {
  return { from: Date.parse(from), to: Date.parse(to) };
}

/** What of an address carries its range over to another view; `usual` as for `chosenRange`. */
export function rangeParams(params, usual) {
  const { from, to, tz } = params;
  return { range: chosenRange(params, usual).preset, from, to, tz };
}

/** The search within a range; times that the search itself has come first. A search includes both ends. */
export function searchWithin(q, { preset, custom, tz }) {
  if (isTimed(q)) return q;
  if (preset) return withTerm(withTerm(q, "range", preset), "tz", tz);
  if (!custom) return q;
  const after = withTerm(q, "started_after", new Date(custom.from).toISOString());
  return withTerm(after, "started_before", new Date(custom.to - 1).toISOString());
}

/** Whether a search has a time of its own. */
export function isTimed(q) {
  return TIMES.some((key) => valueOf(q, key));
}

/** The search without its times. */
export function withoutTimes(q) {
  return TIMES.reduce((found, key) => withTerm(found, key, ""), q);
}

/** A search as it is put into an address: a relative time that is a preset becomes the range. Returns `{q, range}`, `range` undefined where there is none. */
export function withRangeApart(q) {
  const named = valueOf(q, "since");
  return Object.hasOwn(PRESETS, named) ? { q: withTerm(q, "since", ""), range: named } : { q };
}

/** The initial days when choosing them: those of the range, or the last week. */
export function aboutNow({ preset, tz }, now) {
  return daysOf(preset) ? preset : betweenDays(dateOf(now - 6 * DAY, tz), dateOf(now, tz));
}

/** A range as text: 1 Nov 00:00 to 30 Nov 12:00, with the years unless both are that of `now`. */
export function rangeText({ from, to }, timeZone, now = Date.now()) {
  const yearOf = (at) => dateOf(at, timeZone).slice(0, 4);
  const isThisYear = [from, to - 1].every((at) => yearOf(at) === yearOf(now));
  const parts = { timeZone, day: "numeric", month: "short", year: isThisYear ? undefined : "numeric", hour: "2-digit", minute: "2-digit" };
  return [from, to].map((at) => new Date(at).toLocaleString("en-GB", parts).replace(",", "")).join(" to ");
}

function isZone(name) {
  if (!name) return false;
  try {
    return Boolean(Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

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

/** About how long a range is, in milliseconds. */
export function lengthOf({ preset, custom }) {
  if (custom) return custom.to - custom.from;
  const days = daysOf(preset);
  return days ? Date.parse(days[1]) - Date.parse(days[0]) + DAY : IN_DAYS[preset] * DAY;
}

/** The bucket that shows so many milliseconds best. */
export function bucketOf(length) {
  if (length <= DAY / 4) return "minute";
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
