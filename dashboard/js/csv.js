/** Tables as CSV (RFC 4180). Pure. */

const SESSION = {
  id: ({ id }) => id,
  started_at: (one) => one.started_at,
  last_active_at: (one) => one.last_active_at,
  username: ({ initiator }) => initiator.username,
  client: ({ client }) => client,
  models: ({ models }) => models.join(" "),
  calls: ({ interceptions }) => interceptions,
  failures: ({ failures }) => failures,
  retries: ({ retries }) => retries.calls,
  cache_rate: ({ cache }) => cache.rate,
  lost_usd: ({ cache }) => cache.lost_usd,
  cost_usd: (one) => one.cost_usd,
};

/** Sessions as CSV, without prompts. */
export function sessionsCsv(sessions) {
  const lines = [Object.keys(SESSION), ...sessions.map((session) => Object.values(SESSION).map((read) => read(session)))];
  return lines.map((cells) => cells.map(cell).join(",") + "\r\n").join("");
}

/** A cell; one that a program would take for a formula begins with an apostrophe. */
function cell(value) {
  const text = value == null ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
