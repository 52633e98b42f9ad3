"""Why calls fail and are refused, in plain words. Pure. `dashboard/js/text/ends.js` and `refusals.js` say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from intercept.records import EndReason
from intercept.refusals import Rule

ENDS: Final[Mapping[EndReason, str]] = {
    EndReason.CLIENT_DISCONNECTED: "The client closed the connection before the response was complete: the user pressed stop, or the client stopped waiting. The part until then is recorded and costs money.",
    EndReason.UPSTREAM_ERROR: "The provider responded with an error.",
    EndReason.UPSTREAM_STREAM_ERROR: "The provider began its response and then sent an error.",
    EndReason.UPSTREAM_TRUNCATED: "The provider's response broke off before its end.",
    EndReason.UPSTREAM_UNREACHABLE: "No connection to the provider could be made.",
    EndReason.UPSTREAM_TIMEOUT: "The provider was silent for longer than upstream-idle-timeout.",
    EndReason.CIRCUIT_OPEN: "The circuit breaker was open after earlier failures, so the provider was not called.",
    EndReason.SERVER_SHUTDOWN: "The bridge was stopped, and the call did not end within drain-timeout.",
    EndReason.SERVER_CRASHED: "The bridge was killed during the call. It is unknown how it ended for the client.",
}
"""What an end reason means."""

RULES: Final[Mapping[Rule, str]] = {
    Rule.CONCURRENCY: "All slots of max-concurrency were taken.",
    Rule.RATE: "The token reached rate-limit.",
    Rule.USER_RATE: "All tokens of the user together reached user-rate-limit.",
    Rule.USER_CONCURRENCY: "The user had user-max-concurrency calls in progress.",
    Rule.USER_TOKENS: "The user used user-token-limit tokens within the window.",
    Rule.USER_BUDGET: "The user's calls cost user-budget-usd in this period.",
    Rule.POLICY_CONCURRENCY: "A policy allows no more calls in progress.",
    Rule.POLICY_RATE: "A policy allows no more calls within its window.",
    Rule.POLICY_TOKENS: "A policy allows no more tokens within its window.",
    Rule.POLICY_BUDGET: "The budget of a policy is used up in this period.",
    Rule.MODEL_NOT_ALLOWED: "A policy does not allow the model.",
    Rule.TOO_MANY_TOKENS: "The request asked for more tokens than a policy allows.",
    Rule.STOPPING: "The server was being stopped.",
    Rule.NO_TOKEN: "No token was sent.",
    Rule.INVALID_TOKEN: "The token is unknown, expired or revoked.",
    Rule.PROVIDER_KEY_AS_TOKEN: "A provider's key was sent in the place of a token.",
    Rule.TOO_MANY_FAILURES: "The address sent too many invalid tokens (authentication-failure-limit).",
    Rule.TOKENS_UNVERIFIABLE: "The database could not be reached to verify the token.",
    Rule.TOKEN_IN_ADDRESS: "The address had a token in it; tokens belong in a header.",
    Rule.OWN_KEY_NOT_ALLOWED: "The client sent its own key, and allow-byok is off or a policy denies it.",
    Rule.OWN_KEY_NEEDED: "The route is only for clients that send their own key.",
    Rule.NO_PROVIDER_KEY: "The bridge has no key for the provider.",
    Rule.UNKNOWN_PROVIDER: "There is no provider with this name.",
    Rule.PROVIDER_UNAVAILABLE: "The provider is disabled, or its keys cannot be opened.",
    Rule.UNKNOWN_ROUTE: "The provider has no such route.",
    Rule.WRONG_BASE_URL: "The base URL of the client is wrong; the response named the right one.",
    Rule.ODD_PATH: "The path could mean another one to the provider.",
    Rule.WRONG_METHOD: "The route is not served with this method.",
    Rule.WEBSOCKET: "WebSocket is not supported.",
    Rule.NOT_YOUR_RESPONSE: "No stored response of the user has this id.",
    Rule.INVALID_TAGS: "The header X-AIBridge-Tags could not be read.",
    Rule.BODY_TOO_LARGE: "The body was larger than max-body-bytes, or than the route takes.",
    Rule.COMPRESSED_BODY: "The body was compressed in a way that is not supported.",
    Rule.UNUSABLE_BODY: "The body could not be read.",
    Rule.NOT_RECORDABLE: "The call could not be recorded, so it was not made.",
    Rule.DATABASE_UNAVAILABLE: "The database could not be reached to see whose response it is.",
    Rule.MALFORMED_REQUEST: "The request was not valid HTTP.",
    Rule.HEAD_TOO_LARGE: "The request had too many or too large headers.",
    Rule.UNSUPPORTED_CODING: "The request had another transfer coding than chunked.",
    Rule.UNSUPPORTED_VERSION: "The request was neither HTTP/1.1 nor HTTP/1.0.",
    Rule.LATE_HEAD: "The head of the request did not arrive in time.",
    Rule.LATE_BODY: "The body of the request did not arrive in time.",
    Rule.TOO_MANY_HEADS: "Too many requests had begun and were not complete.",
}
"""What a rule by which the bridge refuses calls means."""

_STATUSES: Final[Mapping[int, str]] = {
    400: "The provider refused the request as invalid. Its message says what is wrong with it.",
    401: "The provider refused the key. Check the key of the provider.",
    402: "The provider wants to be paid: the account has no credit left.",
    403: "The provider does not allow this with the key: the account, the region or the model.",
    404: "The provider has no such model or resource, or the key may not use it.",
    408: "The provider waited too long for the request.",
    409: "The request is in conflict with another one at the provider.",
    413: "The request is too large for the provider.",
    422: "The provider could not make sense of the request. Its message says what is wrong with it.",
    429: "The provider refused the call: too many requests or tokens in a short time, or the quota is used up.",
    500: "The provider failed. That is not about the request; trying again often helps.",
    502: "The provider, or a proxy before it, failed. Trying again often helps.",
    503: "The provider is unavailable or has too much to do. Trying again later helps.",
    504: "The provider, or a proxy before it, took too long.",
    529: "The provider has too much to do at present. Trying again later helps.",
}
_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500


def explain(end_reason: str, status: int | None) -> str:
    """Return why a call failed; empty for an end reason that is not known."""
    if end_reason == EndReason.UPSTREAM_ERROR and status is not None and status >= _CLIENT_ERRORS:
        kind = "The provider failed." if status >= _SERVER_ERRORS else "The provider refused the request."
        return _STATUSES.get(status, f"{kind} Its message says why.")
    return ENDS.get(EndReason(end_reason), "") if end_reason in set(EndReason) else ""
