"""Calls that ended, as limits count them, and what limits would have done to them: plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from limits.limit import Amounts

MAX_NAMED: Final = 100
"""How many refused calls are named, the first ones."""


class PastCall(NamedTuple):
    """A call that ended. Times are nanoseconds since 1970.

    Attributes:
        id: Of its interception.
        started_ns: When it started.
        ended_ns: When it ended, not before.
        user: Whose it was.
        used: What it used.
        pays: Whether its user paid the provider, so that no budget counts it.
    """

    id: UUID
    started_ns: int
    ended_ns: int
    user: UUID
    used: Amounts
    pays: bool = False


class LimitName(NamedTuple):
    """A proposed limit: `each_member` or `together`, and its kind."""

    part: str
    kind: str


class RefusedCall(NamedTuple):
    """A call that a limit refuses.

    Attributes:
        call: The call.
        limit: The limit.
        maximum: Of the limit, in the unit of its kind.
        used: How much of it was used then.
        wait_ns: The wait that its client would have been told; None where no wait helps.
    """

    call: PastCall
    limit: LimitName
    maximum: int
    used: int
    wait_ns: int | None


@dataclass
class Tally:
    """What one limit does to one user.

    Attributes:
        refused: How many calls it refused, each once, by the first refusal.
        longest_ns: The longest wait: that is told, or with retries until the call was admitted. 0 where none helped.
        never: How many of the refused were never admitted: all without retries.
    """

    refused: int = 0
    longest_ns: int = 0
    never: int = 0


@dataclass
class Outcome:
    """What limits did.

    Attributes:
        calls: How many calls each user made.
        tallies: What each limit did to each user, where it refused anything.
        first: The first refused calls, at most `MAX_NAMED`.
    """

    calls: Counter[UUID] = field(default_factory=Counter)
    tallies: dict[tuple[LimitName, UUID], Tally] = field(default_factory=dict)
    first: list[RefusedCall] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many calls were refused."""
        return sum(tally.refused for tally in self.tallies.values())
