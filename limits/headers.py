"""The headers about limits, and the message of a refusal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from limits.limit import NEVER_NS, LimitKind, LimitState, Of

MAX_RETRY_NS = 60_000_000_000
"""A client should not sit out a longer wait than this; the official SDKs honour at most 60 to 120 seconds."""

_WHO = {
    Of.SERVER: "The server has",
    Of.GROUP: "Your group has",
    Of.USER: "You have",
    Of.TOKEN: "This token has",
    Of.ADDRESS: "This address has",
    Of.MODEL: "This model has",
}
_SECOND_NS = 1_000_000_000
# Names of their own: in Python 3.11 to read `Kind.RATE` takes 130 ns, and such a name 10.
RATE, BUDGET = LimitKind.RATE, LimitKind.BUDGET


def limit_headers(states: Sequence[LimitState]) -> dict[str, str]:
    """The headers for the tightest limits.

    `X-RateLimit-*` is of the rate with the fewest requests left. `X-RateLimit-Reset` is the number of whole seconds,
    rounded up, after which the whole limit is free again. `X-AI-Bridge-Budget-*` is of the budget with the least money left:
    US dollars, and the whole seconds until its period ends, rounded up, where that is known.
    """
    rate, budget = _tightest(states, RATE), _tightest(states, BUDGET)
    headers = {} if budget is None else _budget_headers(budget)
    if rate is not None:
        headers["X-RateLimit-Limit"] = str(rate.limit.maximum)
        headers["X-RateLimit-Remaining"] = str(rate.remaining)
        headers["X-RateLimit-Reset"] = str(_round_up(rate.reset_ns, _SECOND_NS))
    return headers


def retry_headers(wait_ns: int) -> dict[str, str]:
    """`Retry-After` (RFC 9110, section 10.2.3) in seconds, and what the official SDKs read: `retry-after-ms` first."""
    if wait_ns == NEVER_NS:
        return {"x-should-retry": "false"}
    headers = {
        "Retry-After": str(_round_up(wait_ns, _SECOND_NS)),
        "retry-after-ms": str(_round_up(wait_ns, 1_000_000)),
    }
    return headers | ({"x-should-retry": "false"} if wait_ns > MAX_RETRY_NS else {})


def explain(state: LimitState, wait_ns: int) -> str:
    """Say in a sentence how much of a limit is used, and how long to wait: of more than a second whole ones, rounded up."""
    limit, used = state.limit, f"{state.used:,} of {state.limit.maximum:,}"
    if limit.kind is LimitKind.CONCURRENCY:
        return f"{_WHO[limit.of]} {used} requests in progress."
    if limit.kind is LimitKind.RATE:
        said = f"{_WHO[limit.of]} started {used} requests in {duration(limit.window_ns)}"
    else:
        reserved = f" and reserved {state.reserved:,}" if state.reserved else ""
        said = f"{_WHO[limit.of]} used {used} tokens in {duration(limit.window_ns)}{reserved}"
    if wait_ns == NEVER_NS:
        return f"{said}; this request may need more than all of them."
    if wait_ns > _SECOND_NS:
        wait_ns = _round_up(wait_ns, _SECOND_NS) * _SECOND_NS
    return f"{said}; the next request may start in {duration(wait_ns)}."


def dollars(micro_dollars: int) -> str:
    """An amount of money, as in `50.00`; in full where it is not of whole cents."""
    text = f"{micro_dollars // 1_000_000:,}.{micro_dollars % 1_000_000:06d}"
    return text[:-4] + text[-4:].rstrip("0")


def _budget_headers(state: LimitState) -> dict[str, str]:
    headers = {
        "X-AI-Bridge-Budget-Limit": dollars(state.limit.maximum).replace(",", ""),
        "X-AI-Bridge-Budget-Remaining": dollars(state.remaining).replace(",", ""),
    }
    if state.reset_ns:
        headers["X-AI-Bridge-Budget-Reset"] = str(_round_up(state.reset_ns, _SECOND_NS))
    return headers


def duration(nanoseconds: int) -> str:
    """A duration in milliseconds, rounded up, as OpenAI writes it: `450ms`, `1.5s`, `6m0s`, `1h0m0s`."""
    milliseconds = _round_up(nanoseconds, 1_000_000)
    if 0 < milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".") + "s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{seconds}"


def _tightest(states: Iterable[LimitState], kind: LimitKind) -> LimitState | None:
    """The limit of a kind with the least left, of several such the one that takes longest to have more."""
    of_kind = [state for state in states if state.limit.kind is kind and not state.limit.shadow]
    return min(of_kind, key=lambda state: (state.remaining, -state.retry_after_ns), default=None)


def _round_up(nanoseconds: int, unit: int) -> int:
    return -(-nanoseconds // unit)
