"""Tries of one call: which call repeats an earlier one that failed. Pure: no I/O, no clock.

A call is a retry of another one, which started before it, if both have the same fingerprint (one user, model and
request), that one failed or was cut, had ended when it began, and that was at most `MAX_PAUSE` before. Each failed call
has one retry at most: of several the first. So the tries of a call make a row.

A client that counts its tries is believed: its first try may never have come to be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

MAX_PAUSE: Final = timedelta(minutes=10)
"""From the end of a call that failed to the beginning of its retry."""


def is_open(call: Mapping[str, Any]) -> bool:
    """Whether it is not known yet of a call, whose end is a true one, that it is a retry."""
    return not call.get("presumed") and "attempt" not in call


def find_retries(calls: Sequence[dict[str, Any]], failed: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Give each call that is a retry its `attempt` and `attempts`; where the call before is known, `retry_of` and `repeated`.

    `repeated` is that call itself.

    Args:
        calls: Calls that have ended, in any order.
        failed: All that failed with the same fingerprints as these and have no retry, these calls included.

    Returns:
        The ids of the calls that have a retry now.
    """
    candidates: dict[Any, list[Mapping[str, Any]]] = {}
    for one in failed:
        candidates.setdefault(one["fingerprint"], []).append(one)
    attempts: dict[Any, int] = {}
    retried: list[Any] = []
    for call in sorted(filter(is_open, calls), key=lambda call: call["started_at"]):
        others = candidates.get(call.get("fingerprint"), [])
        before = _before(call, others)
        count = int(call.get("retry_count", 0))
        if before is not None:
            others.remove(before)
            retried.append(before["_id"])
            last = attempts.get(before["_id"], before.get("attempt", before.get("retry_count", 0)))
            count = max(count, int(last) + 1)
        if not count:
            continue
        attempts[call["_id"]] = count
        call |= {"attempt": count, "attempts": count + 1}
        if before is not None:
            call |= {"retry_of": before["_id"], "repeated": before}
    return retried


def _before(call: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    began: datetime = call["started_at"]
    ended = (one for one in others if one["started_at"] < began and began - MAX_PAUSE <= one["ended_at"] <= began)
    return max(ended, key=lambda one: one["ended_at"], default=None)
