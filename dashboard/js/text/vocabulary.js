/** What the server's words mean, for people: as it says them once somebody is signed in. */

const rules = new Map();
const ends = new Map();

/** Take what `GET vocabulary` says. */
export function learn(vocabulary) {
  for (const one of vocabulary.rules) rules.set(one.rule, one);
  for (const one of vocabulary.ends) ends.set(one.end_reason, one.meaning);
}

/** What an end reason means; empty for one that is not known, and for a call that completed. */
export function why(reason) {
  return ends.get(reason) ?? "";
}

/** What went wrong with a call, in a line: the provider's status if it is an error, and its message. Empty if nothing did. */
export function problemOf({ status, end_reason: reason, upstream_status: code, error }) {
  if (status !== "failed") return "";
  return [code >= 400 ? code : "", error?.message || why(reason)].filter(Boolean).join(" ");
}

/** Every rule with its title, in the order of the API's documents. */
export function ruleTitles() {
  return [...rules.values()].map(({ rule, title }) => [rule, title]);
}

/** What a rule is called; one that is not known is called as the API does. */
export function titleOf(rule) {
  return rules.get(rule)?.title ?? rule.replaceAll("_", " ");
}

/** What a rule means; empty for one that is not known. */
export function reasonOf(rule) {
  return rules.get(rule)?.meaning ?? "";
}
