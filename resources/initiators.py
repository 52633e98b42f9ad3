"""Who made a call, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID


class Person(Protocol):
    """What is shown of a user."""

    @property
    def username(self) -> str:
        """The name that tells it from others."""

    @property
    def display_name(self) -> str:
        """The name for people; may be empty."""


def shown_initiator(id_: UUID, initiators: Mapping[UUID, Person]) -> dict[str, str]:
    """Show a user; one who is not among those that are known has no names."""
    user = initiators.get(id_)
    return {"id": str(id_), "username": user.username if user else "", "name": user.display_name if user else ""}
