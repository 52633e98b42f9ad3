"""The document with the state of the invented company. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from intercept.ids import FIRST_EXAMPLE, LAST_EXAMPLE
from storage.mongo.codec import EPOCH

DAYS: Final = 61
"""How many days there are, the present one included, where calls are kept for longer."""

ID: Final = "company"
RANGE: Final[Mapping[str, UUID]] = {"$gte": FIRST_EXAMPLE, "$lte": LAST_EXAMPLE}
"""Matches ids of invented documents."""


class ExampleState(StrEnum):
    """The state of the invented company."""

    NONE = "none"
    FILLING = "filling"
    FILLED = "filled"
    REMOVING = "removing"


ACTIVE: Final = (ExampleState.FILLING.value, ExampleState.REMOVING.value)
"""The states in which there is work."""


class Examples(Struct, frozen=True, kw_only=True):
    """The invented company.

    Attributes:
        until: When its last calls end.
        total: How many days it has, the present one included.
        days: How many of them are recorded.
        calls: How many calls these have.
        requested_at: When filling it was requested; None where it is not there.
        requested_by: By whom; None is the command line.
    """

    state: ExampleState = ExampleState.NONE
    seed: int = 0
    until: datetime = EPOCH
    total: int = DAYS
    days: int = 0
    calls: int = 0
    requested_at: datetime | None = None
    requested_by: str | None = None


def read_examples(document: Mapping[str, Any] | None) -> Examples:
    """Read the document; there is none without an invented company."""
    return msgspec.convert(document or {}, Examples)
