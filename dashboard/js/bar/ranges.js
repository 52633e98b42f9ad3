/** Time ranges as people name them, in a time zone. Pure; times are milliseconds since the epoch. */

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

/** Presets that end now, in hours. */
const HOURS = { "1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24, "90d": 90 * 24 };

/** Whether a preset is a length of time before now. */
export function isRolling(preset) {
  return Object.hasOwn(HOURS, preset);
}

/** The date in a zone: `{year, month, day}`, months from 1. */
export function dateIn(zone, at) {
  const { year, month, day } = clockIn(zone, at);
  return { year, month, day };
}

/** When a day of a zone begins; a month or a day beyond the last one is one of the next. */
export function midnight(zone, year, month, day) {
  const wanted = Date.UTC(year, month - 1, day);
  const guess = wanted - offset(zone, wanted);
  // Clocks may be changed between the guess and the day.
  return wanted - offset(zone, guess);
}

/** From when until when a preset is, `null` where it is none: until the next hour where it goes on. */
export function presetRange(preset, zone, now) {
  const until = Math.ceil(now / HOUR) * HOUR;
  if (isRolling(preset)) return { from: until - HOURS[preset] * HOUR, to: until };
  const { year, month, day } = dateIn(zone, now);
  const monday = day - ((new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7);
  const quarter = month - ((month - 1) % 3);
  const at = (one) => midnight(zone, ...one);
  const ranges = {
    today: [[year, month, day]],
    yesterday: [[year, month, day - 1], [year, month, day]],
    "this-week": [[year, month, monday]],
    "last-week": [[year, month, monday - 7], [year, month, monday]],
    "this-month": [[year, month, 1]],
    "last-month": [[year, month - 1, 1], [year, month, 1]],
    "this-quarter": [[year, quarter, 1]],
    "last-quarter": [[year, quarter - 3, 1], [year, quarter, 1]],
  };
  if (!Object.hasOwn(ranges, preset)) return null;
  const [first, last] = ranges[preset];
  return { from: at(first), to: last ? at(last) : until };
}

/** From when until when a preset is at this moment; `to` is null where it goes on. `null` where it is none. */
export function presetSpan(preset, zone, now) {
  if (isRolling(preset)) return { from: Math.floor(now / 1000) * 1000 - HOURS[preset] * HOUR, to: null };
  const range = presetRange(preset, zone, now);
  return range && { from: range.from, to: range.to > now ? null : range.to };
}

/** The bucket that shows a range best. */
export function bucketOf({ from, to }) {
  if (to - from <= 2.5 * DAY) return "hour";
  if (to - from <= 70 * DAY) return "day";
  return to - from <= 250 * DAY ? "week" : "month";
}

/** The buckets of a range as a chart draws them: `at` when each begins, `drawn` the seconds at which it stands, and their `step`. */
export function bucketsOf({ from, to }, bucket, zone) {
  if (bucket === "hour") {
    const at = Array.from({ length: Math.round((to - from) / HOUR) }, (_, index) => from + index * HOUR);
    return { at, drawn: at.map((one) => one / 1000), step: HOUR / 1000 };
  }
  const { year, month, day } = dateIn(zone, from);
  const weekday = (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
  const first = { day, week: day - weekday, month: 1 }[bucket];
  const at = [];
  const drawn = [];
  for (let index = 0; index < 500; index += 1) {
    const date = { day: [year, month, first + index], week: [year, month, first + 7 * index], month: [year, month + index, 1] }[bucket];
    const start = midnight(zone, ...date);
    if (start >= to) break;
    at.push(start);
    drawn.push(Date.UTC(date[0], date[1] - 1, date[2]) / 1000); // days stand at their date, however long they are
  }
  return { at, drawn, step: ({ day: 1, week: 7, month: 28 }[bucket] * DAY) / 1000 };
}

/** How far clocks of a zone are ahead of UTC. */
function offset(zone, at) {
  const { year, month, day, hour, minute, second } = clockIn(zone, at);
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
}

// What reads a clock takes long to make.
const clocks = new Map();
const CLOCK = { hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };

function clockIn(zone, at) {
  if (!clocks.has(zone)) clocks.set(zone, new Intl.DateTimeFormat("en-US", { timeZone: zone, ...CLOCK }));
  return Object.fromEntries(clocks.get(zone).formatToParts(at).map(({ type, value }) => [type, Number(value)]));
}
