/** Writes searches as the filters do: a line of JSON in, `[q, terms]` out. */

import { createInterface } from "node:readline";
import { searchFor, terms, valueOf, withTerm } from "../../../dashboard/js/bar/query.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { values, change } = JSON.parse(line);
  const q = searchFor(values);
  const [key, value] = change;
  const changed = withTerm(q, key, value);
  console.log(JSON.stringify({ q, read: Object.fromEntries(terms(q).map((term) => [term.key, term.value])), changed, now: valueOf(changed, key) }));
}
