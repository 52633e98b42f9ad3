/** Tables as CSV (RFC 4180). Pure. */

// What makes a spreadsheet compute a cell, in every width of it, and in front of that what it or a cleaner may drop.
const FORMULA = "=+\\-@\\uff1d\\uff0b\\uff0d\\uff20\\ufe66\\ufe62\\ufe63\\ufe6b\\u2212";
const DROPPED =
  '\\x00-\\x08\\x0b\\x0c\\x0e-\\x20"\\x7f\\x85\\xa0\\xad\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff';
const CELL_START = new RegExp(`(^|[;\\t\\r\\n])([${DROPPED}]*)([${FORMULA}])`, "g");

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

/** A cell. Numbers are the bridge's own; in texts nothing is left that a program would take for a formula. */
function cell(value) {
  const text = typeof value === "string" ? harmless(value) : String(value ?? "");
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Put an apostrophe where a formula would begin, however cells are separated: as `resources/recorded/export_formats.py` does. */
function harmless(text) {
  const escaped = text.replace(CELL_START, "$1'$2$3");
  return /^[\t\r\n]/.test(escaped) ? `'${escaped}` : escaped;
}
