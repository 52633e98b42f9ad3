"""Reads the last members of a JSON object from the end of its text, or the first ones, however long the object is.

What an embedding or an image amounts to stands behind megabytes of numbers or base64, or before. They need not be held
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from intercept.formats.json_text import read_struct

MAX_TAIL_BYTES: Final = 32 * 1024
"""How much of the end of an object is read, and of its beginning."""
MAX_CANDIDATES: Final = 4
"""Places where a member may begin that are tried: names within the member itself may be the same."""

S = TypeVar("S", bound=Struct)


def read_last_members(tail: bytes, name: str, decoder: Decoder[S]) -> S | None:
    """Read a member and those that follow it, from the last bytes of an object; None where it is not among its members.

    A text that begins at a member, with a brace before it, is a whole object only where that member is one of the outermost
    object: within another one, a brace would be left over.
    """
    structs = (read_struct(text, decoder) for text in last_objects(tail, name))
    return next((found for found in structs if found is not None), None)


def last_objects(tail: bytes, name: str) -> Iterator[bytes]:
    """Each text that `read_last_members` tries."""
    key, end = f'"{name}"'.encode(), len(tail)
    for _ in range(MAX_CANDIDATES):
        if (end := tail.rfind(key, 0, end)) < 0:
            return
        yield b"{" + tail[end:]


def read_first_members(head: bytes, large: Iterable[str], decoder: Decoder[S]) -> S | None:
    """Read the members before the first large one, from the first bytes of an object; None if none of `large` is there.

    What is before such a member, and a brace behind it, is a whole object only where it is one of the outermost object.
    """
    for name in large:
        before = head.partition(f'"{name}"'.encode())[0].rstrip(b", \t\r\n")
        if len(before) < len(head) and (found := read_struct(before + b"}", decoder)) is not None:
            return found
    return None
