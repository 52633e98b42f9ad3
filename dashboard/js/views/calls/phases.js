/** Where the time of a call went. Pure. */

import { between, duration } from "../../text/format.js";

/**
 * The phases of an interception, in order, each `{kind, text, ms}`; `ms` is null while one is under way. Where the record does
 * not say when the request was sent to the provider, the bridge and the provider have one phase together.
 */
export function phasesOf({ started_at: started, upstream_asked_at: sent, first_byte_at: first, ended_at: ended }) {
  const silent = ended && !first;
  const responded = first ?? ended;
  const before = sent
    ? [
        { kind: "bridge", text: "Bridge", ms: between(started, sent) },
        { kind: "provider", text: silent ? "Provider, no byte came" : "Waiting for the provider", ms: between(sent, responded) },
      ]
    : [{ kind: "unknown", text: silent ? "No byte arrived" : "Bridge and provider", ms: between(started, responded) }];
  return first ? [...before, { kind: "answer", text: "Answer", ms: between(first, ended) }] : before;
}

/** What of the wait for the provider was making the connection, in words. */
export function connectingText({ dns_ms: dns, connect_ms: connect, tls_ms: tls }) {
  const parts = [`address ${duration(dns)}`, `connection ${duration(connect)}`, ...(tls === null ? [] : [`TLS ${duration(tls)}`])];
  return `A new connection to the provider: ${parts.join(", ")}.`;
}
