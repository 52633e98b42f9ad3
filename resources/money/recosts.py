"""Jobs that price past calls again, as they are requested and shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from msgspec import Struct, field, structs

from intercept.times import format_time
from resources.bodies import Body, InvalidBodyError, Readers
from resources.fields import Count, Time, doc, of_fields
from resources.money.prices import read_day_or_time
from resources.ranges import Problems, range_of
from storage.prices import recost_documents
from storage.prices.recost_documents import RecostState


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


class Recost(Struct, kw_only=True):
    """A job that prices past calls again."""

    id: UUID
    state: RecostState
    from_: Time = field(name="from")
    to: Time
    requested_at: Time
    requested_by: Annotated[str | None, doc("The username; null for the command line.")]
    begun_at: Time | None
    ended_at: Time | None
    total: Annotated[Count | None, doc("The number of calls; null while that is unknown.")]
    done: Annotated[Count, doc("The number of calls that were checked.")]
    changed: Annotated[Count, doc("The number of these whose cost changed.")]
    skipped: Annotated[
        Count, doc("The number that keep their cost, because their server died and its record may still arrive.")
    ]
    cost_before_usd: Annotated[str, doc("The cost of the checked calls before, exact.")]
    cost_after_usd: Annotated[str, doc("Their cost now, exact.")]
    prices_version: Annotated[str | None, doc("The `ETag` of the own prices that it uses.")]
    error: Annotated[str | None, doc("Why the job was given up.")]

    @classmethod
    def of(cls, job: recost_documents.Recost) -> Self:
        """Show a job."""
        return of_fields(
            cls,
            structs.asdict(job),
            from_=format_time(job.start),
            to=format_time(job.end),
            cost_before_usd=f"{job.before:f}",
            cost_after_usd=f"{job.after:f}",
        )
