/** Statistics: what groups are called, which calls they lead to, how they changed, and what a chart draws. Pure; times are seconds since the epoch. */

import { isSearchable, withTerm } from "../bar/query.js";
import { dimension, titleOf } from "../text/vocabulary.js";

/**
 * What can be added up: what it is called, the view that lists them, by what they are grouped to begin with, by everybody and
 * by who sees everybody, and what they can be sorted by.
 */
export const SUBJECTS = {
  calls: { name: "Calls", view: "interceptions", usual: ["model", "user,model"], orders: ["calls", "failed", "tokens", "cost", "change", "cache", "p95"] },
  refusals: { name: "Refused calls", view: "refusals", usual: ["rule", "rule,user"], orders: ["calls", "change"] },
  sessions: { name: "Sessions", view: "sessions", usual: ["model", "user"], orders: ["calls", "failed", "tokens", "cost", "change", "cache"] },
};

/** How many of a subject some figures are of. */
export function numberOf({ refusals, sessions, interceptions }) {
  return refusals ?? sessions ?? interceptions;
}

const TAG = "tag.";

/** The dimension of a tag. */
export function tagDimension(name) {
  return TAG + name;
}

/** What a dimension is called, a tag by its own name. */
export function dimensionName(by) {
  return by.startsWith(TAG) ? `Tag ${by.slice(TAG.length)}` : dimension(by).title;
}

/** Whether an id is the public part of a token, and none of those that users have. */
export function isTokenId(id) {
  return /^[A-Za-z0-9]{10}$/.test(id);
}

/** What a value of a group is called; a reason as people say it. */
export function valueName(value, by) {
  if (by === "rule" && value) return titleOf(value);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (typeof value !== "object") return String(value);
  const { id, name, username } = value;
  if (username === undefined) return name || id || "No group";
  return username === "" || isTokenId(id) ? [username, name, id].filter(Boolean).join(" · ") : username;
}

/** The key and the value of a search that find the calls of a group, or what else is added up; null where none do. */
export function termOf(by, value, subject = "calls") {
  if (value === null) return null;
  if (by.startsWith(TAG)) return isSearchable(value) ? ["tag", `${by.slice(TAG.length)}=${value}`] : null;
  const key = dimension(by).keys[subject];
  const text = { user: value.username, group: value.name, token: value.id }[by] ?? (typeof value === "object" ? "" : String(value));
  return key && isSearchable(text) ? [key, text] : null;
}

/** The search for the calls of a group within another search; null where no search finds them. */
export function searchOfGroup(q, group, by, subject = "calls") {
  const terms = by.map((one) => termOf(one, group[one], subject));
  return terms.includes(null) ? null : terms.reduce((found, [key, value]) => withTerm(found, key, value), q);
}

/** Which provider's page says how a value fares, as its `id`, empty where it is not known, and `model`; null where none does. */
export function pageOf(by, group) {
  if (by === "provider") return group.provider ? { id: group.provider, model: "" } : null;
  return by === "model" && group.model ? { id: group.provider ?? "", model: group.model } : null;
}

/** How much more or less it is than before: "+12 %", "new", or "" where there was nothing. */
export function changeOf(now, before) {
  if (!before) return now ? "new" : "";
  const change = (100 * (now - before)) / before;
  const rounded = Math.abs(change) < 10 ? Math.round(change * 10) / 10 : Math.round(change);
  if (rounded === 0) return "±0 %";
  if (rounded > 999) return `×${Math.round(now / before)}`;
  return `${rounded > 0 ? "+" : "−"}${Math.abs(rounded)} %`;
}

/** What is compared of a group: what it costs, or how many there are where nothing has a price. */
export function compared(figures, whole) {
  return whole.cost_usd == null ? numberOf(figures) : (figures.cost_usd ?? 0);
}

const MAX_SERIES = 7;
const TICK_BUCKETS = [1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 60, 90, 180, 365];
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

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

/**
 * Groups as the rows of a chart of the same statistics, and last what is in none of those that are shown. With `blank`, which is what
 * a bucket without calls has, amounts cannot be added up: then nothing else is shown.
 */
export function chartRows({ buckets, groups, points, total, other, group_by: by }, pick, blank = 0) {
  const starts = buckets.map(Date.parse);
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
