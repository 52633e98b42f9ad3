/** What the server's words mean, for people, and which there are: as it says them once somebody is signed in. Pure. */

import { plural, time, words } from "./format.js";

const said = { rules: {}, ends: {}, roles: {}, provider_types: {}, alerts: {}, search_keys: {}, dimensions: {}, actions: {} };

/** Take what `GET vocabulary` says. No word is one that every object has, such as `constructor`. */
export function learn(vocabulary) {
  for (const [kind, words] of Object.entries(vocabulary)) said[kind] = Object.assign(Object.create(null), words);
}

/** What an end reason means; empty for one that is not known, and for a call that completed. */
export function why(reason) {
  return said.ends[reason]?.meaning ?? "";
}

/** What an end reason is called; one that is not known is called as the API does. */
export function endTitle(reason) {
  return said.ends[reason]?.title ?? words(reason);
}

/** What is known of a failure, in a line: its end, the provider's status if it is an error, and its message. Empty without a failure. */
export function problemOf({ status, end_reason: reason, upstream_status: code, error }) {
  if (status !== "failed") return "";
  return [reason ? endTitle(reason) : "failed", [code >= 400 ? code : "", error?.message].filter(Boolean).join(" ")].filter(Boolean).join(": ");
}

/** Every rule with its title, in the order of the API's documents. */
export function ruleTitles() {
  return Object.entries(said.rules).map(([rule, { title }]) => [rule, title]);
}

/** What a rule is called; one that is not known is called as the API does. */
export function titleOf(rule) {
  return said.rules[rule]?.title ?? words(rule);
}

/** What a rule means; empty for one that is not known. */
export function reasonOf(rule) {
  return said.rules[rule]?.meaning ?? "";
}

/** Every role with what it may. */
export function roles() {
  return Object.entries(said.roles).map(([role, meaning]) => [role, `${role[0].toUpperCase()}${role.slice(1)}: ${meaning}`]);
}

/** The types of providers that can be added, with what people call them. */
export function providerTypes() {
  return Object.entries(said.provider_types);
}

/** The types of alerts, with what each tells. */
export function alerts() {
  return Object.entries(said.alerts);
}

/** Every key of a search for calls, and of those with a few values these. */
export function searchKeys() {
  return said.search_keys;
}

/** By what a subject can be grouped, aside from tags. */
export function dimensionsOf(subject) {
  return Object.keys(said.dimensions).filter((by) => subject in said.dimensions[by].keys);
}

/** A dimension with its `title`, and by subject the key of a search that finds a group of it. */
export function dimension(by) {
  return said.dimensions[by] ?? { title: by, keys: {} };
}

/** What an entry of the audit trail says: the predicate of a sentence whose subject is the actor. */
export function whatWasDone({ action, actor, subject, detail }) {
  const sentence = said.actions[action];
  if (!sentence) return [words(action), subject?.username].filter(Boolean).join(" ");
  const values = {
    ...detail,
    subject: subject?.username || "others",
    whose: actor.id === subject?.id ? "their" : `${subject?.username}'s`,
    times: detail.count > 1 ? ` ${detail.count} times, last at ${time(detail.last_at)}` : "",
  };
  const names = [values.subject, values.group];
  const isThere = (name) => values[name] != null && (name !== "name" || (values.name && !names.includes(values.name)));
  const part = (_, text, other = "") => ([...text.matchAll(FIELD)].every(([, name]) => isThere(name)) ? text : other);
  return sentence.replace(/\[([^|\]]*)\|?([^\]]*)\]/g, part).replace(FIELD, (_, name, as) => written(values[name], as)).replace(/[,:]$/, "");
}

const FIELD = /\{(\w+):?(\w*)\}/g;

/** A field of an entry as a sentence has it. */
function written(value, as) {
  if (as === "time") return time(value);
  if (as === "words") return words(value);
  if (as) return plural(Array.isArray(value) ? value.length : (value ?? 0), as);
  return Array.isArray(value) ? value.map(words).join(", ") : String(value ?? "");
}
