"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

from msgspec import to_builtins


@overload
def format_time(time: datetime) -> str: ...
@overload
def format_time(time: None) -> None: ...
@overload
def format_time(time: datetime | None) -> str | None: ...
def format_time(time: datetime | None) -> str | None:
    """Write a time as RFC 3339 has it, in UTC with milliseconds."""
    if time is None:
        return None
    text: str = to_builtins(time.astimezone(UTC))  # `isoformat` takes five times as long
    return f"{text[:23]}Z" if time.microsecond else f"{text[:19]}.000Z"
