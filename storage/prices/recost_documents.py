"""What a job is that prices past calls again, and its document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Self
from uuid import UUID

from msgspec import Meta, field

from storage.mongo.documents.stored import Hidden, Stored, StoredTime


class RecostState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ACTIVE: Final = (RecostState.WAITING.value, RecostState.RUNNING.value)


_Count = Annotated[int, Meta(ge=0)]


class Recost(Stored, frozen=True, kw_only=True):
    """A job that prices past calls again: those that started in [from, to) and had ended when it was requested."""

    id: UUID
    state: RecostState
    start: StoredTime = field(name="from")
    end: StoredTime = field(name="to")
    requested_at: StoredTime
    requested_by: Annotated[str | None, Meta(description="The username; null for the command line.")]
    begun_at: StoredTime | None
    ended_at: StoredTime | None
    total: Annotated[_Count | None, Meta(description="The number of calls; null while that is unknown.")]
    done: Annotated[_Count, Meta(description="The number of calls that were checked.")]
    changed: Annotated[_Count, Meta(description="The number of these whose cost changed.")]
    skipped: Annotated[
        _Count,
        Meta(description="The number that keep their cost, because their server died and its record may still arrive."),
    ]
    before: Annotated[Decimal, Meta(description="The cost of the checked calls before, exact.")] = field(
        name="cost_before_usd"
    )
    after: Annotated[Decimal, Meta(description="Their cost now, exact.")] = field(name="cost_after_usd")
    prices_version: Annotated[str | None, Meta(description="The `ETag` of the own prices that it uses.")]
    error: Annotated[str | None, Meta(description="Why the job was given up.")]
    position: Hidden[tuple[datetime, UUID] | None] = None
    """The start and the id of the last call looked at."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the document of a job."""
        usd = {name: document[name].to_decimal() for name in ("cost_before_usd", "cost_after_usd")}
        position = document.get("position")
        return super().of({**document, **usd, "position": position and (position["at"], position["id"])})
