/** A policy as a form has it. Pure: what people type becomes the fields of the API, and nothing else of the policy is lost. */

import { itemsOf } from "../../text/format.js";

/** The number in a text, else the text: the server reports the error. */
export function numberOr(text) {
  const number = Number(text);
  return text.trim() !== "" && Number.isFinite(number) ? number : text.trim();
}

/** The policy with a value at a path; empty values and objects that become empty are taken away. */
export function withField(policy, path, value) {
  const [name, ...rest] = path;
  const inner = rest.length ? withField(isObject(policy[name]) ? policy[name] : {}, rest, value) : value;
  const { [name]: _, ...others } = policy;
  const gone = inner === undefined || inner === "" || (Array.isArray(inner) && !inner.length) || (isObject(inner) && !Object.keys(inner).length);
  return gone ? others : { ...others, [name]: inner };
}

/** The value at a path, undefined if there is none. */
export function fieldAt(policy, path) {
  return path.reduce((value, name) => (isObject(value) ? value[name] : undefined), policy);
}

/** Patterns of models as lines: `openai: gpt-5*` is one of a provider. What is no list yet is a line of its own. */
export function patternsText(patterns = []) {
  return [patterns].flat().map((one) => (isObject(one) ? `${one.provider}: ${one.model ?? "*"}` : one)).join("\n");
}

/** Lines as patterns of models. */
export function patternsOf(text) {
  return itemsOf(text, "\n").map((line) => {
    const [, provider, model] = /^([^:\s]+):\s+(\S.*)$/.exec(line) ?? [];
    return provider ? { provider, model } : line;
  });
}

/** The number of calls at a time: `{requests, shadow}` or the number alone. */
export function slotsText(concurrency) {
  return String((isObject(concurrency) ? concurrency.requests : concurrency) ?? "");
}

/** The same with another number; a shadow stays one. */
export function slotsOf(text, before) {
  if (!text.trim()) return undefined;
  return isObject(before) ? { ...before, requests: numberOr(text) } : numberOr(text);
}

/** A limit of several fields with one of them changed; without any of its two it is gone. Money stays text, which is exact. */
export function limitOf(before, name, text, [first, second]) {
  const value = name === "requests" || name === "count" ? numberOr(text) : text.trim();
  const limit = withField(isObject(before) ? before : {}, [name], value);
  return fieldAt(limit, [first]) === undefined && fieldAt(limit, [second]) === undefined ? undefined : limit;
}

/** A list as lines; what is no list yet is a line of its own. */
export function linesText(list = []) {
  return [list].flat().join("\n");
}

export const COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EXPORTERS = { CLAUDE_CODE_ENABLE_TELEMETRY: "1", OTEL_METRICS_EXPORTER: "otlp", OTEL_LOGS_EXPORTER: "otlp" };

/** The variables of Claude Code with telemetry sent to an address; without one they are gone. */
export function telemetryOf(text, before) {
  const address = text.trim();
  if (address) return { ...before, ...EXPORTERS, [COLLECTOR]: address };
  return Object.fromEntries(Object.entries(before ?? {}).filter(([name]) => name !== COLLECTOR && !(name in EXPORTERS)));
}

/** A policy as text to edit. */
export function policyText(policy) {
  return JSON.stringify(policy, null, 2);
}

/** The policy that a text says, or null if it is no JSON object. */
export function policyOf(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
