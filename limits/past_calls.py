"""Calls that ended, as limits count them, and what limits would have done to them: plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

MAX_NAMED: Final = 100
"""How many refused calls are named, the first ones."""


class PastCall(NamedTuple):
    """A call that ended. Times are milliseconds since 1970, ids have 16 bytes.

    Attributes:
        started_ms: When it started.
        id: Of its interception.
        user: Whose it was.
        ended_ms: When it ended.
        tokens: How many of those that limits count it used.
        micro_dollars: What it cost.
        pays: Whether its user paid the provider, so that no budget counts it.
    """

    started_ms: int
    id: bytes
    user: bytes
    ended_ms: int
    tokens: int = 0
    micro_dollars: int = 0
    pays: bool = False


class RequestedModel(NamedTuple):
    """What a past call asked for.

    Attributes:
        provider: The name of the provider in its path.
        model: The model as it was named; empty where the request named none, or several.
        is_unread: Whether it named several, which nobody read.
        is_billed: Whether such a call costs something.
    """

    provider: str
    model: str
    is_unread: bool = False
    is_billed: bool = True


class LimitName(NamedTuple):
    """A proposed limit: `each_member` or `together`, and its kind. A rule has no part, and the name of its field as kind."""

    part: str
    kind: str


class RefusedCall(NamedTuple):
    """A call that a limit or a rule refuses.

    Attributes:
        id: Of its interception.
        started_ms: When it started, in milliseconds since 1970.
        user: Whose it was.
        maximum: Of the limit, in the unit of its kind.
        used: How much of it was used then.
        wait_ns: The wait that its refusal would have named; None where no wait helps.
        rule: The broken rule in words; empty for a limit, as the maximum and the use are 0 for a rule.
        model: The model that it names; empty where that was not read.
    """

    id: UUID
    started_ms: int
    user: UUID
    limit: LimitName
    maximum: int
    used: int
    wait_ns: int | None
    rule: str = ""
    model: str = ""


@dataclass
class RefusalTotals:
    """What one limit does to one user.

    Attributes:
        refused: How many calls it refused, each once, by the first refusal.
        longest_ns: The longest wait that is told. 0 where none helped.
    """

    refused: int = 0
    longest_ns: int = 0


@dataclass
class ReplayOutcome:
    """What limits did.

    Attributes:
        calls: How many calls each user made.
        totals: What each limit did to each user, where it refused anything.
        first: The first refused calls, at most `MAX_NAMED`.
    """

    calls: Counter[UUID] = field(default_factory=Counter)
    totals: dict[tuple[LimitName, UUID], RefusalTotals] = field(default_factory=dict)
    first: list[RefusedCall] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many calls were refused."""
        return sum(one.refused for one in self.totals.values())
