"""What a job is that prices past calls again, and its document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from storage.mongo.documents.stored import Stored


class RecostState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ACTIVE: Final = (RecostState.WAITING.value, RecostState.RUNNING.value)


class Recost(Stored, frozen=True, kw_only=True):
    """A job that prices the calls again that started in [start, end) and had ended when it was requested.

    Attributes:
        requested_by: By whom; None is the command line.
        begun_at: When the first call was looked at.
        ended_at: When it was done, cancelled or given up.
        total: How many calls there are; None while that is not known.
        done: How many were looked at.
        changed: How many have another cost now.
        skipped: How many keep their cost, as their end is only presumed.
        before: What all calls looked at cost before, in US dollars.
        after: What they cost now.
        position: The start and the id of the last call looked at.
    """

    id: UUID
    state: RecostState
    start: datetime
    end: datetime
    requested_at: datetime
    requested_by: str | None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    total: int | None = None
    done: int = 0
    changed: int = 0
    skipped: int = 0
    before: Decimal = Decimal()
    after: Decimal = Decimal()
    prices_version: str | None = None
    position: tuple[datetime, UUID] | None = None
    error: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the document of a job."""
        usd = {name: document[name].to_decimal() for name in ("before", "after") if name in document}
        position = document.get("position")
        return super().of({**document, **usd, "position": position and (position["at"], position["id"])})
