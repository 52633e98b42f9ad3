"""What Claude Code that signed in below a provider is told of its budgets: it warns of them, and shows a refusal. Pure.

The headers are those by which Anthropic tells of an organization's own spending limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil
from typing import Final, Literal

from intercept.apis import Dialect
from limits.calendar import bounds_of, from_ns, time_zone, to_ns
from limits.limit import PERIODS, BudgetPeriod, Limit, LimitKind, LimitState
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


def end_of(limit: Limit, now: datetime) -> datetime | None:
    """When the period of a budget ends; None of one that never starts again."""
    if limit.period is BudgetPeriod.TOTAL:
        return None
    return from_ns(bounds_of(limit.period, limit.zone, to_ns(now)).end_ns)


def budget_headers(dialect: Dialect, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
    """The headers of a response about the fullest budget, for a client that signed in below a provider.

    The client takes no notice of a budget whose period has no end.
    """
    if (state := fullest(states)) is None or (end := end_of(state.limit, now)) is None:
        return {}
    part = part_spent(state)
    threshold = next((one for one in WARNINGS if part >= one), None)
    status, resets = "allowed" if threshold is None else "allowed_warning", _seconds(end)
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
    ends = {one: end_of(one, now) for one in spent}
    limit = max(spent, key=lambda one: ends[one] or datetime.max.replace(tzinfo=UTC))
    told = {
        "status": "rejected",
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-disabled-reason": "org_spend_cap_reached",
    }
    message, more = problem.message, {}
    if end := ends[limit]:
        told |= {name: _seconds(end) for name in ("reset", "overage-reset")}
        told["overage-period"] = PERIODS[limit.period]
        message += f" It starts again at {end.astimezone(time_zone(limit.zone)):%Y-%m-%d %H:%M %Z}."
        more = {"Retry-After": str(ceil((end - now).total_seconds()))}
    headers = more | {_TOLD.format(dialect.desk_headers, name): value for name, value in told.items()}
    return OverloadedError(problem.rule, 429, message, problem.headers | headers, policy=problem.policy)


def _is_budget(state: LimitState) -> bool:
    return state.limit.kind is LimitKind.BUDGET and not state.limit.shadow


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))
