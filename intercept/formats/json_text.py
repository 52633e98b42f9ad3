"""Decodes untrusted JSON."""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterator
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

MAX_MENDED_BYTES: Final = 2 * 1024 * 1024
"""The largest text that is mended at once, in 15 ms; `mended` mends a larger one in steps."""
MAX_FITTED_VALUES: Final = 1024
"""Items and members that are read one by one where some JSON is not as it should be: in 10 ms, if all are long numbers."""

ARRAY: Final = Decoder(list[Raw])
"""Reads an array, and not its items."""
OBJECT: Final = Decoder(dict[str, Raw])
"""Reads an object, and not its values."""
TEXT: Final = Decoder(str)

_MENDED_AT_ONCE: Final = 128 * 1024
_ANY: Final = Decoder[Any](Any)
_decoder: Final = cache(Decoder)
_fields: Final = cache(structs.fields)
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_WHOLE_ESCAPE: Final = rb"\\(?:[^u]|u(?![dD][89a-fA-F]))|" + _PAIR
_HALF: Final = rb"((?!" + _PAIR + rb")\\u[dD][89a-fA-F][0-9a-fA-F]{2})?+"
# Text with whole escapes only, and the half of a pair behind it, if there is one.
_UP_TO_HALF: Final = re.compile(rb"((?:[^\\]++|" + _WHOLE_ESCAPE + rb")*+)" + _HALF, re.DOTALL)
# The same of no more than 256 KiB.
_SOME_UP_TO_HALF: Final = re.compile(rb"((?:[^\\]{1,64}+|" + _WHOLE_ESCAPE + rb"){0,4096}+)" + _HALF, re.DOTALL)


class RepeatedMemberError(ValueError):
    """An object has a member twice.

    Attributes:
        name: What the member is called.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is there twice")
        self.name = name


def decode(data: bytes | Raw, decoder: Decoder[T]) -> T:
    """Decode JSON; lone surrogates and bytes that are not UTF-8 become U+FFFD.

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
        if len(data) > MAX_MENDED_BYTES:
            raise
        return decoder.decode(_mended(bytes(data)))


def decode_unique(data: bytes) -> Any:
    """Read JSON in which no object has a member twice: its readers keep the last one, and the first is lost without a word.

    Raises:
        msgspec.DecodeError: It is none.
        UnicodeDecodeError: A text is not UTF-8.
        RecursionError: It is nested too deeply.
        RepeatedMemberError: An object has a member twice.
    """
    decoded = msgspec.json.decode(data)
    # A number of thousands of digits makes no int.
    json.loads(data.decode(), object_pairs_hook=_check_once, parse_int=float)
    return decoded


def mended(data: bytes) -> Generator[None, None, bytes]:
    """Replace invalid text by U+FFFD, as `decode` does, in steps of a few milliseconds each."""
    if not data.isascii():
        yield
        data = yield from _mended_utf8(data)
    if not (yield from _has_surrogates(data)):
        return data
    text, at = bytearray(), 0
    while at < len(data) and (found := _SOME_UP_TO_HALF.match(data, at)):  # which always matches, also nothing
        text += found[1] + rb"\ufffd" if found[2] else found[1] or data[at : at + 1]
        at = max(found.end(), at + 1)
        yield
    return bytes(text)


def _mended_utf8(data: bytes) -> Generator[None, None, bytes]:
    decoder, text = getincrementaldecoder("utf-8")("replace"), bytearray()
    for start in range(0, len(data), _MENDED_AT_ONCE):
        end = start + _MENDED_AT_ONCE
        text += decoder.decode(data[start:end], end >= len(data)).encode()
        yield
    return bytes(text)


def _has_surrogates(data: bytes) -> Generator[None, None, bool]:
    """Say whether there may be an escape of half a pair."""
    for start in range(0, len(data), _MENDED_AT_ONCE):
        yield
        piece = data[start : start + _MENDED_AT_ONCE + 2]
        if rb"\ud" in piece or rb"\uD" in piece:
            return True
    return False


def read(data: bytes | Raw, decoder: Decoder[T]) -> T | None:
    """Decode JSON; return None for what cannot be decoded."""
    try:
        return decode(data, decoder)
    except (ValueError, RecursionError):
        return None


def read_struct(data: bytes | Raw, decoder: Decoder[S]) -> S | None:
    """Decode a JSON object into a struct; return None for everything else.

    What of it is not of the struct's type is left out, and the rest of it kept. The struct's fields may be of any type
    without structs, structs, lists of structs, and either of these two or None. Beyond `MAX_FITTED_VALUES`, all but `Raw` is
    left out too. Only what is of a field's type is built, so types without `Any` bound the time that this takes.
    """
    if not data:
        return None
    try:
        return decode(data, decoder)
    except msgspec.ValidationError:
        return _fitted(data, decoder.type, iter(range(MAX_FITTED_VALUES)))
    except (ValueError, RecursionError):
        return None


def read_object(data: bytes | Raw) -> dict[str, Any]:
    """Decode a JSON object; return an empty one for everything else."""
    return as_object(read(data, _ANY))


def read_array(data: bytes | Raw) -> list[Raw]:
    """Decode a JSON array no deeper than its items; return an empty one for everything else."""
    return read(data, ARRAY) or []


def text_of(value: Raw) -> str:
    """Return a string that some JSON is, "" for everything else."""
    return (read(value, TEXT) or "") if value else ""


def as_object(value: object) -> dict[str, Any]:
    """Return an object unchanged, an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """Return a string unchanged, an empty one for everything else."""
    return value if isinstance(value, str) else ""


def _fitted(data: bytes | Raw, wanted: type[S], room: Iterator[int]) -> S | None:
    fields = read(data, OBJECT) if bytes(memoryview(data)[:1]) == b"{" else None
    if fields is None:
        return None
    fitted = {
        each.name: _field(fields[each.encode_name], each.type, room)
        for each in _fields(wanted)
        if each.encode_name in fields
    }
    return wanted(**{name: value for name, value in fitted.items() if value is not None})


def _field(data: Raw, wanted: Any, room: Iterator[int]) -> Any:
    kind = get_args(wanted)[0] if isinstance(wanted, UnionType) else wanted
    if _is_struct(kind):
        return _fitted(data, kind, room)
    if (of_items := next(iter(get_args(kind)), None)) and _is_struct(of_items):
        fitted = (_fitted(item, of_items, room) for _, item in zip(room, read_array(data), strict=False))
        return [item for item in fitted if item is not None]
    if wanted is Raw:
        return data
    return read(data, _decoder(wanted)) if next(room, None) is not None else None


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _mended(data: bytes) -> bytes:
    if not data.isascii():
        data = data.decode("utf-8", "replace").encode()
    return _UP_TO_HALF.sub(lambda found: found[1] + rb"\ufffd" if found[2] else found[1], data)


def _check_once(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise RepeatedMemberError(name)
        seen.add(name)
