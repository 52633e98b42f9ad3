"""Ids as text. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec import to_builtins


def in_any_case(id_: str) -> str:
    """Write an id, also one of a provider's, as what finds it again in any case."""
    return id_.lower()


def format_id(id_: UUID) -> str:
    """Write an id as RFC 9562, section 4, has it, as `str` does in three times as long."""
    text: str = to_builtins(id_)
    return text
