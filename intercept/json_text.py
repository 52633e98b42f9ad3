"""JSON from strangers: decoded without surprises, and looked at without trust."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

T = TypeVar("T")

_ANY: Final = Decoder[Any](Any)
_ARRAY: Final = Decoder(list[Raw])
_ESCAPE: Final = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


def decode(data: bytes | Raw, decoder: Decoder[T]) -> T:
    """Decode JSON, putting U+FFFD for what is no Unicode text: lone surrogates and bytes that are not UTF-8.

    Some clients cut a string in the middle of a surrogate pair and escape the half (RFC 8259, section 8.2, calls the
    outcome unpredictable). Refusing the whole text for it would be worse than losing one character.

    Raises:
        msgspec.ValidationError: The JSON does not have the decoder's type.
        msgspec.DecodeError: This is not JSON.
        RecursionError: Nested too deeply to be decoded.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decoder.decode(_mended(bytes(data)))


def read(data: bytes | Raw, decoder: Decoder[T]) -> T | None:
    """Decode JSON; return None for what cannot be decoded."""
    try:
        return decode(data, decoder)
    except (ValueError, RecursionError):
        return None


def read_object(data: bytes | Raw) -> dict[str, Any]:
    """Decode a JSON object; return an empty one for everything else."""
    return as_object(read(data, _ANY))


def read_array(data: bytes | Raw) -> list[Raw]:
    """Decode a JSON array no deeper than its items; return an empty one for everything else."""
    return read(data, _ARRAY) or []


def as_object(value: object) -> dict[str, Any]:
    """Return an object as it is, an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of an array, no object for everything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Return a string as it is, an empty one for everything else."""
    return value if isinstance(value, str) else ""


def as_index(value: object) -> int:
    """Return a whole number as it is, 0 for everything else."""
    return value if type(value) is int else 0


def _mended(data: bytes) -> bytes:
    text = data.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], text)
