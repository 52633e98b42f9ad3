"""What the calls of a day and a model add up to, to be compared with what a provider reports. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct


class RecordedDay(Struct, frozen=True):
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
    tokens: tuple[int, int, int, int] = (0, 0, 0, 0)
    late: tuple[int, int, int, int] = (0, 0, 0, 0)
    usd: Decimal = Decimal(0)
    unpriced: int = 0
