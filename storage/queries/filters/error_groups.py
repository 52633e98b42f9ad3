"""Kinds of errors, and what the errors of a kind have in common. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct


class Kind(NamedTuple):
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

    kind: Kind
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
