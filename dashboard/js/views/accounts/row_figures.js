/** The figures of a row: what is found by them, and how rows are sorted. Pure. */

/** What rows can be sorted by, beside their names: how it is called, and the amount of a row's total and of when it was used last. */
export const SORTS = {
  cost: ["Highest cost", ({ cost_usd: cost }) => cost ?? 0],
  calls: ["Most calls", ({ interceptions }) => interceptions],
  tokens: ["Most tokens", ({ tokens }) => tokens],
  failed: ["Most failed", ({ failed }) => failed],
  used: ["Used last", (_, used) => (used ? Date.parse(used) : 0)],
};
/** The totals of who made no call. */
export const NOTHING = { interceptions: 0, failed: 0, tokens: 0, cost_usd: null };

/** By what the API is to sort groups, for a sort of rows: where it has more than it gives, those are missing that come last. */
export function orderOf(sort) {
  return sort in SORTS && sort !== "used" ? sort : "calls";
}

/** The totals of groups by the id of what they have in common. */
export function totalsOf(groups, by) {
  return Object.fromEntries(groups.map(({ group, total }) => [group[by]?.id ?? "", total]));
}

/** Rows sorted, most first, and equal ones as they were; an unknown sort leaves them as they are. `usedOf` says when a row was used last. */
export function sortRows(rows, totals, sort, usedOf = () => null) {
  if (!Object.hasOwn(SORTS, sort ?? "")) return rows;
  const [, amount] = SORTS[sort];
  const amounts = new Map(rows.map((row) => [row, amount(totals[row.id] ?? NOTHING, usedOf(row))]));
  return rows.toSorted((one, another) => amounts.get(another) - amounts.get(one));
}
