"""JSON in which no object has a member twice. Readers of JSON keep the last one, and the first is lost without a word."""

from __future__ import annotations

import json
from typing import Any

import msgspec


class RepeatedMemberError(ValueError):
    """An object has a member twice.

    Attributes:
        name: What the member is called.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is there twice")
        self.name = name


def decode_unique(data: bytes) -> Any:
    """Read JSON.

    Raises:
        msgspec.DecodeError: It is none.
        UnicodeDecodeError: A text is not UTF-8.
        RecursionError: It is nested too deeply.
        RepeatedMemberError: An object has a member twice.
    """
    decoded = msgspec.json.decode(data)
    # A number of thousands of digits makes no int.
    json.loads(data.decode(), object_pairs_hook=_check, parse_int=float)
    return decoded


def _check(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise RepeatedMemberError(name)
        seen.add(name)
