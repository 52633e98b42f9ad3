"""The body of a request to price past calls again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from msgspec import field

from resources.bodies import Body, InvalidBodyError, Readers
from resources.fields import doc
from resources.money.prices import read_day_or_time
from resources.ranges import Problems, range_of


class RecostBody(Body, omit_defaults=True):
    """Which calls are priced again: those that started in this range."""

    from_: Annotated[str, doc("A day such as `2026-11-01`, in UTC, or a timestamp (RFC 3339).")] = field(name="from")
    to: Annotated[str, doc("The end of the range, exclusive. Without it now.")] = ""

    readers: ClassVar[Readers] = {"from": read_day_or_time, "to": read_day_or_time}


def read_range(given: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """Read the two ends of a range.

    Raises:
        InvalidBodyError: With everything that is wrong.
    """
    body: Any = RecostBody.of(given)  # the readers have made times of its texts
    problems: Problems = []
    within = range_of(body.from_, body.to or None, problems, now=now, usual=lambda end: end)
    if problems:
        raise InvalidBodyError(problems)
    return within
