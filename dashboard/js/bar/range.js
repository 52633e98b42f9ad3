/** The range of an address, the same in every view, and as a search. Pure; times are milliseconds since the epoch. */

import { valueOf, withTerm } from "./query.js";
import { betweenDays, dateOf, daysOf, isName, PRESETS } from "./ranges.js";

export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const TIMES = ["since", "until", "started_after", "started_before", "range", "tz"];
const DAY = 86_400_000;

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
