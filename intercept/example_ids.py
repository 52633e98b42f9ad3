"""Ids of what is invented: they tell it from everything else, also where nothing but the id is left. Pure."""

from __future__ import annotations

from typing import Final
from uuid import UUID

BEGIN: Final = b"exampl"
FIRST: Final = UUID(bytes=BEGIN + b"\x80\x00\x80" + bytes(7))
"""The smallest of them."""

LAST: Final = UUID(bytes=BEGIN + b"\x8f\xff\xbf" + b"\xff" * 7)
"""The largest of them."""

TOKEN_PREFIX: Final = "example"  # noqa: S105 - no password
"""What the public parts of invented tokens begin with."""


def is_example(id_: UUID) -> bool:
    """Whether it is the id of something invented."""
    return FIRST <= id_ <= LAST
