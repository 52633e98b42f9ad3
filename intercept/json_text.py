"""JSON from strangers: decoded without surprises, and looked at without trust."""

from __future__ import annotations

import re
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

_ANY: Final = Decoder[Any](Any)
_ARRAY: Final = Decoder(list[Raw])
_FIELDS: Final = Decoder(dict[str, Raw])
_fields: Final = cache(structs.fields)
# Text with whole escapes only, and the half of a pair behind it, if there is one.
_UP_TO_HALF: Final = re.compile(
    rb"((?:[^\\]++|\\(?:[^u]|u(?![dD][89a-fA-F])|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))*+)"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})?+",
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


def read_struct(data: bytes | Raw, decoder: Decoder[S]) -> S | None:
    """Decode a JSON object into a struct; return None for everything else.

    What of it is not of the struct's type is left out, and the rest of it kept. The struct's fields may be `Any`, `Raw`,
    further structs, lists of them, and either of these two or None.
    """
    try:
        return decode(data, decoder)
    except msgspec.ValidationError:
        return _fitted(data, decoder.type)
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


def _fitted(data: bytes | Raw, wanted: type[S]) -> S | None:
    told = read(data, _FIELDS)
    if told is None:
        return None
    return wanted(**{each.name: _field(told[each.name], each.type) for each in _fields(wanted) if each.name in told})


def _field(data: Raw, wanted: Any) -> Any:
    if isinstance(wanted, UnionType):
        wanted, _ = get_args(wanted)
    if get_origin(wanted) is list:
        fitted = (_fitted(item, *get_args(wanted)) for item in read_array(data))
        return [item for item in fitted if item is not None]
    if wanted is Raw:
        return data
    return read(data, _ANY) if wanted is Any else _fitted(data, wanted)


def _mended(data: bytes) -> bytes:
    if not data.isascii():
        data = data.decode("utf-8", "replace").encode()
    return _UP_TO_HALF.sub(lambda found: found[1] + rb"\ufffd" if found[2] else found[1], data)
