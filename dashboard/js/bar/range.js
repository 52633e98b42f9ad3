/** The range of an address, the same in every view, and as a search. Pure; times are milliseconds since the epoch. */

import { valueOf, withTerm } from "./query.js";
import { dateIn, midnight, PRESETS, presetRange, presetSpan } from "./ranges.js";

export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const TIMES = ["since", "until", "started_after", "started_before"];
const DAY = 86_400_000;

/**
 * The range of an address as `{preset, custom, tz}`: a name of PRESETS, or two times, or neither, which is all time. `usual` is what
 * an address means without one.
 */
export function chosenRange({ range, from, to, tz }, usual = "") {
  const named = Object.hasOwn(PRESETS, range ?? "") ? range : usual;
  const [start, end] = [Date.parse(from), Date.parse(to)];
  const custom = start < end ? { from: start, to: end } : null;
  return { preset: custom ? "" : named, custom, tz: isZone(tz) ? tz : OWN_ZONE };
}

/** Its start and end; `to` is null if it is open, and all is null for all time. */
export function spanOfRange({ preset, custom, tz }, now) {
  return custom ?? presetSpan(preset, tz, now);
}

/** The same as the API takes it, `{from, to}`, until the end of an hour where it goes on. It is no range of all time. */
export function hoursOf({ preset, custom, tz }, now) {
  const { from, to } = custom ?? presetRange(preset, tz, now);
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** What of an address carries its range over to another view; `usual` as for `chosenRange`. */
export function rangeParams(params, usual) {
  const { from, to, tz } = params;
  return { range: chosenRange(params, usual).preset, from, to, tz };
}

/** The search within a range; times that the search itself has come first. A search includes both ends. */
export function searchWithin(q, chosen, now) {
  const span = spanOfRange(chosen, now);
  if (!span || isTimed(q)) return q;
  const after = withTerm(q, "started_after", new Date(span.from).toISOString());
  return span.to === null ? after : withTerm(after, "started_before", new Date(span.to - 1).toISOString());
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

/** The range between two days of a zone, written as 2026-11-27, both of them included; a last day before the first one is the first one. */
export function betweenDays(first, last, tz) {
  const at = (text, more = 0) => {
    const [year, month, day] = text.split("-").map(Number);
    return midnight(tz, year, month, day + more);
  };
  const from = at(first);
  return { from, to: Math.max(at(last, 1), at(first, 1)) };
}

/** The days of a range in its zone, as a field for days has them. */
export function daysOf({ from, to }, tz) {
  const text = (at) => new Intl.DateTimeFormat("en-CA", { timeZone: tz, year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
  return [text(from), text(to - 1)];
}

/** Whether a range begins and ends with days of a zone. */
export function isOfDays(range, tz) {
  const whole = betweenDays(...daysOf(range, tz), tz);
  return whole.from === range.from && whole.to === range.to;
}

/** The initial range when choosing days. */
export function aboutNow(chosen, now) {
  const { from, to } = spanOfRange(chosen, now) ?? { from: now - 7 * DAY, to: null };
  const [first, last] = daysOf({ from, to: to ?? now }, chosen.tz);
  return betweenDays(first, last, chosen.tz);
}

/** A range as text: 1 Nov 00:00 to 30 Nov 12:00, with the years unless both are that of `now`. */
export function rangeText({ from, to }, timeZone, now = Date.now()) {
  const isThisYear = [from, to - 1].every((at) => dateIn(timeZone, at).year === dateIn(timeZone, now).year);
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
