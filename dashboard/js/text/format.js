/** Formats numbers, times and names. Pure; unknown (null) is a dash. */

export const UNKNOWN = "–";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const CENTS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LATE_MS = MINUTE;

/** A whole number with separators: 12,345. */
export function whole(value) {
  return value == null ? UNKNOWN : WHOLE.format(value);
}

/** At most three digits: 950, 12.3K, 4.56M. */
export function short(value) {
  return value == null ? UNKNOWN : SHORT.format(value);
}

/** A number of bytes, in thousands of them: 840 bytes, 12.3 KB, 4.56 MB. */
export function size(value) {
  if (value == null || value < 1000) return value == null ? UNKNOWN : plural(value, "byte");
  return short(value).replace(/([A-Z])$/, " $1B").replace(" BB", " GB");
}

/** US dollars, to the cent: $1,234.50; below one with two digits that say something, and whole ones from ten thousand on. */
export function usd(value) {
  if (value == null) return UNKNOWN;
  if (value === 0) return "$0";
  if (value < 0.01) return "$" + Number(value.toPrecision(2)).toFixed(Math.min(8, 1 - Math.floor(Math.log10(value))));
  return "$" + (value < 10_000 ? CENTS : WHOLE).format(value);
}

/** A duration in milliseconds: 840 ms, 1.24 s, 3 min 5 s, 2 h 7 min, 60 days. */
export function duration(ms) {
  if (ms == null) return UNKNOWN;
  if (ms < 1000) return `${Math.min(999, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 10) / 100).toFixed(2)} s`;
  if (ms < MINUTE) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${Math.floor((ms % MINUTE) / 1000)} s`;
  if (ms >= 3 * DAY) return plural(Math.floor(ms / DAY), "day");
  return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
}

/** A part of a whole: 3.2 %. Small ones are not rounded to nothing, nor large ones to all. */
export function percent(part, all) {
  if (!all) return UNKNOWN;
  const value = (100 * part) / all;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value >= 99.5 && value < 100) return "> 99 %";
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} %`;
}

/** Milliseconds between two times of the API, null if either is. */
export function between(start, end) {
  return start == null || end == null ? null : Math.max(0, Date.parse(end) - Date.parse(start));
}

/** A time of the API in the viewer's zone: the time alone on the day of `now`, else with the date. */
export function time(text, now = new Date()) {
  if (text == null) return UNKNOWN;
  const moment = new Date(text);
  const clock = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === now.toDateString() ? clock : `${day(moment, now)} ${clock}`;
}

/** The date, with the year unless it is that of `now`: 3 Nov, 3 Nov 2024; in the viewer's zone unless one is given. */
export function day(moment, now = new Date(), timeZone = undefined) {
  const [year, thisYear] = [moment, now].map((one) => one.toLocaleDateString("en-GB", { year: "numeric", timeZone }));
  return moment.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: year === thisYear ? undefined : "numeric", timeZone });
}

/** What a bucket of the statistics is called, by its start and width in seconds: 3 Nov for a day, which is one of UTC; the year as in `day`. */
export function bucketName(start, step, now = new Date()) {
  const moment = new Date(start * 1000);
  if (step >= DAY / 1000) return day(moment, now, "UTC");
  return `${day(moment)} ${moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** How long ago a time was, of the API or in milliseconds: just now, 5 min ago, 3 h ago, 2 d ago. */
export function ago(at, now = new Date()) {
  const ms = Math.max(0, now - new Date(at));
  if (ms < MINUTE) return "just now";
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ago`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ago`;
  return `${Math.floor(ms / DAY)} d ago`;
}

/** One of many: 1 call, 2 calls, 3 policies, 4 retries. */
export function plural(number, word) {
  return `${whole(number)} ${number === 1 ? word : `${word}s`.replace(/([cr])ys$/, "$1ies")}`;
}

/** The items of a text with `separator` between them, without those that are empty. */
export function itemsOf(text, separator) {
  return text.split(separator).map((item) => item.trim()).filter(Boolean);
}

/** A word of the API for people: client_disconnected becomes client disconnected. */
export function words(text) {
  return text.replaceAll("_", " ");
}

/** How long figures are behind, in ms: they have what ended until a time. 0 while that is no more than they always are. */
export function lateBy(countedUntil, now = Date.now()) {
  const late = countedUntil ? now - Date.parse(countedUntil) : 0;
  return late > LATE_MS ? late : 0;
}

/** The four counts of several usages added up; a count that none reported stays null. */
export function sumTokens(usages) {
  const sum = { input_tokens: null, output_tokens: null, cache_read_input_tokens: null, cache_write_input_tokens: null };
  for (const usage of usages) {
    for (const key of Object.keys(sum)) {
      if (usage[key] != null) sum[key] = (sum[key] ?? 0) + usage[key];
    }
  }
  return sum;
}

/** Whether sums of usages have any token: that all are 0 says that none were reported. */
export function reported(usage) {
  return Object.values(usage).some((count) => count > 0);
}

const USUAL_TIERS = ["standard", "default", "auto", "on_demand"];

/** How a response was made, where a price may depend on it: "fast", "flex", "batch" ..; empty for the usual way. */
export function serviceTier(usages) {
  const { speed, service_tier: tier, serviceTier: google, trafficType: traffic } = usages.at(-1)?.metadata.usage ?? {};
  const said = [speed, tier, google, /^ON_DEMAND_(\w+)$/.exec(traffic)?.[1]].filter((one) => typeof one === "string");
  const names = said.map((one) => one.toLowerCase()); // Google's are in capitals or not
  return names.filter((name) => !USUAL_TIERS.includes(name)).join(", ");
}

/** All tokens that went in, from a cache or not; null if none were reported. */
export function tokensIn(usage) {
  const parts = [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens];
  return parts.every((part) => part == null) ? null : parts.reduce((sum, part) => sum + (part ?? 0), 0);
}

/** Half of all waits, and 95 of a hundred. */
export function waits({ p50, p95 }) {
  return `${duration(p50)}, p95 ${duration(p95)}`;
}

// The first that is in it counts: most claim to be others besides.
const BROWSERS = ["Edg", "Firefox", "Chrome", "Safari"];
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"];

/** Name browser and system, as `Firefox on Linux`; anything else by its first word. */
export function browserName(userAgent) {
  const find = (names) => names.find((name) => userAgent.includes(name));
  const browser = find(BROWSERS)?.replace("Edg", "Edge") ?? (userAgent.trim().split(/[\s/(]/)[0] || "An unknown program");
  const system = find(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}
