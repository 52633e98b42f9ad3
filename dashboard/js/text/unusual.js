/** What of today and yesterday is unlike the days before them. Pure. */

import { searchFor } from "../bar/query.js";
import { bucketsOf } from "../bar/range.js";
import { placed } from "../charts/statistics.js";
import { href } from "../frame/router.js";
import { percent, plural, usd } from "./format.js";

const MOST = 3;
// Fewer days before tell nothing, nor do fewer calls or less money.
const LEAST_DAYS = 5;
const LEAST_CALLS = 3;
const LEAST_USD = 5;
const LEAST_FAILED = 10;
const TIMES = 3;
/** In which new errors are looked for. */
export const ERRORS = "7d";

/** The middle of some numbers. */
export function median(values) {
  const sorted = values.toSorted((one, another) => one - another);
  const half = (sorted.length - 1) / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2;
}

/**
 * What is usual where the last of these days is far above it, else null: the median of the days before that are workdays as it is, or
 * days of a weekend, and of which at most one had more. Days before the first one with anything do not count.
 *
 * @param {number[]} days the dates, as seconds since the epoch.
 */
export function usualIfFarBelow(values, days) {
  const isOff = (at) => [0, 6].includes(new Date(days[at] * 1000).getUTCDay());
  const last = values.length - 1;
  const first = values.findIndex(Boolean);
  const before = values.filter((_, at) => at >= first && at < last && isOff(at) === isOff(last));
  if (before.length < LEAST_DAYS) return null;
  const usual = median(before);
  const higher = before.filter((value) => value >= values[last]);
  return values[last] > TIMES * usual && higher.length <= 1 ? usual : null;
}

/**
 * At most three lines `{text, link}`, an error that is new first.
 *
 * @param {{results: Object[]}} errors of the last days.
 * @param {Object} models statistics of the API by model and day, the last one is today; `users` are those by user.
 */
export function unusual(errors, models, users) {
  return [...errors.results.filter(isNew).map(ofError), ...failing(models), ...costly(users)].slice(0, MOST);
}

function isNew(error) {
  return error.new && error.kind === "call" && error.calls >= LEAST_CALLS;
}

function ofError({ provider, template, type, calls, users }) {
  const text = `New error of ${provider}: ${template || type || "no message"}; ${plural(calls, "call")} of ${plural(users, "user")}`;
  return { text, link: href("errors", "", { range: ERRORS }) };
}

/**
 * A line for each group of which today or else yesterday is unusual: `amountOf` a point, of days on which `counts` says that it is
 * enough; `tell` makes the line of the group, that day's amount, what is usual, and the day.
 */
function found(stats, amountOf, counts, tell) {
  const { at: starts, drawn: days } = bucketsOf(stats);
  return stats.groups.flatMap(({ group, points }) => {
    const amounts = placed(points, starts, amountOf);
    const enough = placed(points, starts, counts, false);
    const linesOf = (day, back) => {
      const until = amounts.slice(0, amounts.length - back);
      const usual = enough[until.length - 1] ? usualIfFarBelow(until, days) : null;
      return usual === null ? [] : [tell(group, until.at(-1), usual, day)];
    };
    return ["today", "yesterday"].flatMap(linesOf).slice(0, 1);
  });
}

function failing(models) {
  const shareOf = ({ interceptions, failed }) => (interceptions ? failed / interceptions : 0);
  return found(models, shareOf, ({ failed }) => failed >= LEAST_FAILED, ({ model }, share, usual, day) => ({
    text: `${model}: ${percent(share, 1)} of calls failed ${day}; ${percent(usual, 1)} is usual`,
    link: href("interceptions", "", { q: searchFor({ status: "failed", model }), range: day }),
  }));
}

function costly(users) {
  const costOf = ({ cost_usd: cost }) => cost ?? 0;
  return found(users, costOf, (point) => costOf(point) >= LEAST_USD, ({ user: { username } }, spent, usual, day) => ({
    text: `${username} spent ${usd(spent)} ${day}; ${usd(usual)} a day is usual`,
    link: href("explore", "", { q: searchFor({ user: username }), by: "model", range: day }),
  }));
}
