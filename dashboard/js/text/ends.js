/** Why calls end as they do, for people. Pure. */

const WHY = {
  client_disconnected:
    "The client closed the connection before the response was complete: the user pressed stop, or the client stopped waiting. The part until then is recorded and costs money.",
  upstream_error: "The provider responded with an error.",
  upstream_stream_error: "The provider began its response and then sent an error.",
  upstream_truncated: "The provider's response broke off before its end.",
  upstream_unreachable: "No connection to the provider could be made.",
  upstream_timeout: "The provider was silent for longer than upstream-idle-timeout.",
  circuit_open: "The circuit breaker was open after earlier failures, so the provider was not called.",
  server_shutdown: "The bridge was stopped, and the call did not end within drain-timeout.",
  server_crashed: "The bridge was killed during the call. It is unknown how it ended for the client.",
};

/** What an end reason means; empty for one that is not known here, and for a call that completed. */
export function why(reason) {
  return WHY[reason] ?? "";
}

/** What went wrong with a call, in a line: the provider's status if it is an error, and its message. Empty if nothing did. */
export function problemOf({ status, end_reason: reason, upstream_status: code, error }) {
  if (status !== "failed") return "";
  return [code >= 400 ? code : "", error?.message || why(reason)].filter(Boolean).join(" ");
}
