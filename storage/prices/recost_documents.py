"""What a job is that prices past calls again, and its document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from msgspec import Struct


class RecostState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ACTIVE: Final = (RecostState.WAITING.value, RecostState.RUNNING.value)


class Recost(Struct, frozen=True, kw_only=True):
    """A job that prices the calls again that started in [start, end) and had ended when it was requested.

    Attributes:
        id: The id.
        state: Where it stands.
        start: The first instant.
        end: The first instant after it.
        requested_at: When it was requested.
        requested_by: By whom; None is the command line.
        begun_at: When the first call was looked at.
        ended_at: When it was done, cancelled or given up.
        total: How many calls there are; None while that is not known.
        done: How many were looked at.
        changed: How many have another cost now.
        skipped: How many keep their cost, as their end is only presumed.
        before: What all calls looked at cost before, in US dollars.
        after: What they cost now.
        prices_version: The version of the own prices that it uses.
        position: The start and the id of the last call looked at.
        error: Why it was given up.
    """

    id: UUID
    state: RecostState
    start: datetime
    end: datetime
    requested_at: datetime
    requested_by: str | None
    begun_at: datetime | None
    ended_at: datetime | None
    total: int | None
    done: int
    changed: int
    skipped: int
    before: Decimal
    after: Decimal
    prices_version: str | None
    position: tuple[datetime, UUID] | None
    error: str | None


def read_recost(document: Mapping[str, Any]) -> Recost:
    """Read the document of a job."""
    get = document.get
    position = get("position")
    return Recost(
        id=document["_id"],
        state=RecostState(document["state"]),
        start=document["start"],
        end=document["end"],
        requested_at=document["requested_at"],
        requested_by=document["requested_by"],
        begun_at=get("begun_at"),
        ended_at=get("ended_at"),
        total=get("total"),
        done=get("done", 0),
        changed=get("changed", 0),
        skipped=get("skipped", 0),
        before=document["before"].to_decimal() if "before" in document else Decimal(),
        after=document["after"].to_decimal() if "after" in document else Decimal(),
        prices_version=get("prices_version"),
        position=(position["at"], position["id"]) if position else None,
        error=get("error"),
    )
