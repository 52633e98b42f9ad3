/** Limits in words. Pure; `rule` is a limit of a user, as in the API. */

import { time, usd, whole } from "./format.js";

/** Seconds as an operator writes them: 20s, 5m, 1h30m. */
export function windowText(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor((seconds % 86_400) / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "m"],
    [Math.round(seconds % 60), "s"],
  ];
  const text = parts.map(([number, unit]) => (number ? number + unit : "")).join("");
  return text || "0s";
}

/** The period of a budget, as in "$5 a day". */
export function periodText(period) {
  return period === "total" ? "in total" : `a ${period}`;
}

/** What a limit counts. */
export function limitTitle({ kind, window_seconds: window, period }) {
  return {
    concurrency: "Calls at a time",
    rate: `Calls in ${windowText(window ?? 0)}`,
    tokens: `Tokens in ${windowText(window ?? 0)}`,
    budget: `US dollars ${periodText(period)}`,
  }[kind];
}

/** The source of a rule: the settings of the server, or a policy. */
export function sourceText({ level, name }) {
  if (level === "settings") return "settings of the server";
  return name ? `policy of ${level} ${name}` : `policy of ${level}`;
}

/** The calls that a limit counts together, if its policy has two parts. */
export function partText({ part }) {
  return { each_member: "each member alone", together: "all members together" }[part] ?? "";
}

/** Writes the figures of a limit. */
export function limitFigure({ kind }) {
  return kind === "budget" ? usd : whole;
}

/** When there is more, or what else is to be said of a limit; empty where nothing is. */
export function limitNote({ kind, maximum, used, remaining, next_free_at: free, resets_at: resets, holds, replaced_by: other }, now = new Date()) {
  if (!holds) return `Does not hold: the ${sourceText(other)} has another budget.`;
  if (!maximum) return "0 refuses everything.";
  if (kind === "budget") return resets ? `${remaining ? "Starts again" : "Used up until"} ${time(resets, now)}` : "";
  if (kind === "concurrency") return remaining ? "" : "Free when a call ends";
  if (!remaining) return free ? `Free at ${time(free, now)}` : "";
  return used && resets ? `All free again at ${time(resets, now)}, if unused` : "";
}
