/** A session as a story: where its calls are on a time axis, what a step says in a line, and what a search finds. Pure. */

import { duration, plural, size, words } from "../../text/format.js";

const GAP = 0.04; // of what is busy, the most that a pause takes on the axis
const SHORTEST = 0.004; // of the axis, so that every call can be seen

/**
 * Calls on a time axis from 0 to 1, on which long pauses are cut.
 *
 * @param {Object[]} calls of a timeline, oldest first.
 * @param {Object[]} refusals
 * @param {number} now for calls under way, in milliseconds.
 * @returns {{lanes: Object[], pauses: Object[], refused: Object[]}} `lanes`: for each agent `agent` (null is the main one), its `type` and
 *   `rows` of bars that do not overlap, each `{call, left, width, wait}`, `wait` being the part of it without a byte; `pauses`:
 *   `{left, ms}`, those that are cut; `refused`: `{left, refusal}`.
 */
export function axisOf(calls, refusals, now) {
  if (!calls.length) return { lanes: [], pauses: [], refused: [] };
  const spans = calls.map((call) => [Date.parse(call.started_at), call.ended_at ? Date.parse(call.ended_at) : now]);
  const scale = scaleOf(spans);
  const lanes = new Map();
  calls.forEach((call, index) => {
    const [start, end] = spans[index];
    const left = scale.at(start);
    const width = Math.max(SHORTEST, scale.at(end) - left);
    const first = call.first_byte_at ? Date.parse(call.first_byte_at) : end;
    const bar = { call, left: Math.min(left, 1 - width), width, wait: end > start ? Math.min(1, (first - start) / (end - start)) : 0 };
    if (!lanes.has(call.agent_id)) lanes.set(call.agent_id, { agent: call.agent_id, type: call.agent_type ?? null, rows: [] });
    const { rows } = lanes.get(call.agent_id);
    const free = rows.find((row) => row.at(-1).left + row.at(-1).width <= bar.left);
    if (free) free.push(bar);
    else rows.push([bar]);
  });
  const refused = refusals.map((refusal) => ({ refusal, left: scale.at(Date.parse(refusal.at)) }));
  return { lanes: [...lanes.values()], pauses: scale.pauses, refused };
}

/** How times become places: what is busy as long as it is, what is not at most `GAP` of that. */
function scaleOf(spans) {
  const busy = [];
  for (const [start, end] of [...spans].sort((one, other) => one[0] - other[0])) {
    const last = busy.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else busy.push([start, end]);
  }
  const longest = Math.max(1, busy.reduce((sum, [start, end]) => sum + end - start, 0)) * GAP;
  const pauseBefore = (index) => (index ? busy[index][0] - busy[index - 1][1] : 0);
  const lengthUntil = (time) =>
    busy.reduce((sum, [start, end], index) => {
      const pause = pauseBefore(index);
      return sum + Math.max(0, Math.min(longest, pause, time - start + pause)) + Math.max(0, Math.min(time, end) - start);
    }, 0);
  const whole = Math.max(1, lengthUntil(busy.at(-1)[1]));
  const pauses = busy.flatMap(([start], index) => (pauseBefore(index) > longest ? [{ left: (lengthUntil(start) - longest / 2) / whole, ms: pauseBefore(index) }] : []));
  return { at: (time) => lengthUntil(time) / whole, pauses };
}

/** What an agent is called: Explore (a1b2c3), or what of both is known. */
export function agentName({ agent, type }) {
  if (agent === null) return "the main one";
  return type ? `${type} (${agent})` : agent;
}

/** The result of a tool call, in words: 1.2 KB, failed. */
export function outcomeOf(result) {
  return result.is_error ? `failed, ${size(result.bytes)}` : size(result.bytes);
}

const SHORT = 120;
// Which text of a tool's input tells what it does, the first that there is.
const TELLING = ["command", "cmd", "file_path", "path", "pattern", "query", "url"];

/** What a tool was called with, in a line: its command, its file, else its first text. */
export function argumentOf({ input }) {
  let given;
  try {
    given = JSON.parse(input);
  } catch {
    given = input;
  }
  const named = given !== null && typeof given === "object" ? given : { input: given };
  const texts = [...TELLING.map((name) => named[name]), ...Object.values(named)].map((one) => (Array.isArray(one) ? one.join(" ") : one));
  return (texts.find((one) => typeof one === "string" && one.trim()) ?? "").trim().replace(/\s+/g, " ").slice(0, SHORT);
}

/** The number of the try, in words; empty for a first one. */
export function tryOf({ attempt, attempts }) {
  if (attempts) return `try ${attempt + 1} of ${attempts}`;
  return attempt ? `try ${attempt + 1}` : "";
}

/** The retries of a session, in words; empty without any. */
export function retriesOf({ calls, amplification }) {
  return calls ? `${plural(calls, "retry")}, ${amplification} calls for each` : "";
}

const DECIDED = { accept: "accepted", reject: "rejected" };

/** What the client says of a tool call, in words. */
export function reportOf({ decision, source, succeeded, duration_ms: ms }) {
  const decided = decision && (DECIDED[decision] ?? words(decision)) + (source ? ` by ${words(source)}` : "");
  return [decided, succeeded === false && "failed", ms != null && duration(ms)].filter(Boolean).join(", ");
}
