"""What Claude Code that signed in below a provider is told of its budgets: it warns of them, and shows a refusal. Pure.

The headers are those by which Anthropic tells of an organization's own spending limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from math import ceil
from typing import Final, Literal

from intercept.apis import Dialect
from limits.calendar import bounds_of, from_ns, time_zone, to_ns
from limits.limit import PERIODS, Limit, LimitKind, LimitState
from limits.protection.overload import OverloadedError

WARNINGS: Final = (0.95, 0.75)
"""Parts of a budget from which on the client warns, the largest first."""

BILLING: Final = 402
"""The status by which the body of the refusal is worded: the client gets it with 429."""

_TOLD: Final = "{}unified-{}"
_MOST: Final = 0.99
"""What is told as used of a budget that is spent, while calls are served."""


def fullest(states: Iterable[LimitState]) -> LimitState | None:
    """The budget of which the largest part is spent; None without one."""
    return max((one for one in states if _is_budget(one)), key=part_spent, default=None)


def part_spent(state: LimitState) -> float:
    """Which part of a budget is spent."""
    return state.used / state.limit.maximum if state.limit.maximum else 1.0


def severity_of(state: LimitState) -> Literal["normal", "warning", "critical"]:
    """How the client is to show a budget."""
    part, (critical, warning) = part_spent(state), WARNINGS
    return "critical" if part >= critical else "warning" if part >= warning else "normal"


def end_of(limit: Limit, now: datetime) -> datetime:
    """When the period of a budget ends."""
    return from_ns(bounds_of(limit.period, limit.zone, to_ns(now)).end_ns)


def budget_headers(dialect: Dialect, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
    """The headers of a response about the fullest budget, for a client that signed in below a provider."""
    if (state := fullest(states)) is None:
        return {}
    part = part_spent(state)
    threshold = next((one for one in WARNINGS if part >= one), None)
    status, resets = "allowed" if threshold is None else "allowed_warning", _seconds(end_of(state.limit, now))
    told = {
        "status": status,
        "reset": resets,
        "representative-claim": "overage",
        "overage-status": status,
        "overage-reset": resets,
        "overage-utilization": f"{min(part, _MOST):.2f}",
    }
    if threshold is not None:
        told["overage-surpassed-threshold"] = str(threshold)
    return {_TOLD.format(dialect.desk_headers, name): value for name, value in told.items()}


def worded(problem: OverloadedError, dialect: Dialect, now: datetime) -> OverloadedError:
    """The refusal by a spent budget as the client shows it; another refusal as it is.

    Of several spent budgets it is of the one whose period ends last.
    """
    spent = [one.limit for one in problem.states if _is_budget(one) and one.retry_after_ns]
    if not spent or problem.rule not in {one.rule for one in spent}:
        return problem
    limit = max(spent, key=lambda one: end_of(one, now))
    end = end_of(limit, now)
    resets = _seconds(end)
    told = {
        "status": "rejected",
        "reset": resets,
        "overage-reset": resets,
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-period": PERIODS[limit.period],
        "overage-disabled-reason": "org_spend_cap_reached",
    }
    headers = {_TOLD.format(dialect.desk_headers, name): value for name, value in told.items()}
    headers |= {"Retry-After": str(ceil((end - now).total_seconds()))}
    message = f"{problem.message} It starts again at {end.astimezone(time_zone(limit.zone)):%Y-%m-%d %H:%M %Z}."
    return OverloadedError(problem.rule, 429, message, problem.headers | headers, policy=problem.policy)


def _is_budget(state: LimitState) -> bool:
    return state.limit.kind is LimitKind.BUDGET and not state.limit.shadow


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))
