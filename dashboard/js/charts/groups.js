/** Groups of the statistics: what they are called, which calls they lead to, and how they changed. Pure. */

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
  return by.startsWith(TAG) ? `Tag ${by.slice(TAG.length)}` : dimension(by).name;
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

/** US dollars in full, to the cent; below a dollar to the millionth. */
export function exactUsd(value) {
  if (value == null) return "–";
  const digits = Math.abs(value) < 1 ? 6 : 2;
  return value.toLocaleString("en-US", { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: digits });
}
