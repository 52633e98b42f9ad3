"""What queries find, for those who show it. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from operator import add
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from storage.derived.rollup import TOKENS, Totals

SPEND: Final = ("interceptions", *TOKENS, "unpriced", "cost")
"""The figures of bills."""


class ErrorKey(NamedTuple):
    """What the errors of a group have in common; `rule` is set for refusals alone."""

    provider: str | None
    model: str | None
    status: int | None
    reason: str
    type: str
    template: str
    rule: str | None = None


class ErrorGroup(Struct):
    """Errors of one kind.

    Attributes:
        kind: What they have in common.
        calls: How many there are.
        users: Who got them, as far as that is known.
        first_at: When the first call started that got it.
        last_at: When the last one did.
        example_id: The last interception, or row of a refusal.
        example_user: Whose that is.
        message: What the provider said to it; empty where nothing is kept of it.
    """

    kind: ErrorKey
    calls: int
    users: set[UUID]
    first_at: datetime
    last_at: datetime
    example_id: UUID
    example_user: UUID | None
    message: str

    def add(self, other: ErrorGroup) -> None:
        """Add those of another group of the same kind."""
        if other.last_at > self.last_at:
            self.last_at, self.message = other.last_at, other.message
            self.example_id, self.example_user = other.example_id, other.example_user
        self.first_at = min(self.first_at, other.first_at)
        self.calls += other.calls
        self.users |= other.users


class RecordedDay(Struct):
    """The calls of a day and a model, with a key of the bridge. A call is in the day in which it started, in UTC.

    Attributes:
        model: As clients name it.
        calls: Calls that have ended.
        tokens: In the order of `TOKENS`.
        late: Those of them of calls that ended on a later day.
        usd: What they cost, as recorded; those without a price cost nothing.
        unpriced: Calls that used tokens and have no price.
    """

    day: date
    model: str
    calls: int = 0
    tokens: tuple[int, ...] = (0, 0, 0, 0)
    late: tuple[int, ...] = (0, 0, 0, 0)
    usd: Decimal = Decimal(0)
    unpriced: int = 0

    def add(self, totals: Totals, *, late: bool) -> None:
        """Add calls, all of which ended on a later day, or none."""
        tokens = tuple([totals.get(name, 0) for name in TOKENS])
        self.tokens = tuple(map(add, self.tokens, tokens))
        if late:
            self.late = tuple(map(add, self.late, tokens))
        self.calls += totals.get("interceptions", 0)
        self.usd += totals.get("cost", Decimal(0))
        self.unpriced += totals.get("unpriced", 0)
