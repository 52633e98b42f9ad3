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

const RECONCILED = {
  day: ({ day }) => day,
  model: ({ model }) => model,
  recorded_tokens: ({ recorded }) => recorded.tokens,
  reported_tokens: ({ reported }) => reported.tokens,
  difference_tokens: ({ difference }) => difference.tokens,
  recorded_usd: ({ recorded }) => recorded.cost_usd,
  reported_usd: ({ reported }) => reported.cost_usd,
  difference_usd: ({ difference }) => difference.cost_usd,
  verdict: ({ verdict }) => verdict,
  reason: ({ reason }) => reason,
};

/** Sessions as CSV, without prompts. */
export function sessionsCsv(sessions) {
  return table(SESSION, sessions);
}

/** Days and models of a comparison with the bill as CSV. */
export function reconciledCsv(rows) {
  return table(RECONCILED, rows);
}

function table(columns, rows) {
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((read) => read(row)))];
  return lines.map((cells) => cells.map(cell).join(",") + "\r\n").join("");
}

/** A cell; one that a program would take for a formula begins with an apostrophe. */
function cell(value) {
  const text = value == null ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
