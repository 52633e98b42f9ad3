"""Ids as text; and ids of what is invented, which tell it from everything else where nothing but the id is left. Pure."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec import to_builtins

EXAMPLE_BYTES: Final = b"exampl"
"""What ids of something invented begin with."""

FIRST_EXAMPLE: Final = UUID(bytes=EXAMPLE_BYTES + b"\x80\x00\x80" + bytes(7))
"""The smallest id of something invented."""

LAST_EXAMPLE: Final = UUID(bytes=EXAMPLE_BYTES + b"\x8f\xff\xbf" + b"\xff" * 7)
"""The largest."""

EXAMPLE_TOKEN_PREFIX: Final = "example"  # noqa: S105 - no password
"""What the public parts of invented tokens begin with."""


def is_example(id_: UUID) -> bool:
    """Whether it is the id of something invented."""
    return FIRST_EXAMPLE <= id_ <= LAST_EXAMPLE


def in_any_case(id_: str) -> str:
    """Write an id, also one of a provider's, as what finds it again in any case."""
    return id_.lower()


def format_id(id_: UUID) -> str:
    """Write an id as RFC 9562, section 4, has it, as `str` does in three times as long."""
    text: str = to_builtins(id_)
    return text
