"""Decodes untrusted JSON: whole, member by member, or the first and last members of an object however long it is.

What an embedding or an image amounts to stands behind megabytes of numbers or base64, or before. They need not be held
for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from functools import cache
from types import UnionType
from typing import Any, Final, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

MAX_MENDED_BYTES: Final = 24 * 1024 * 1024
"""The largest text that is mended."""
MAX_MENDED_ESCAPES: Final = 1024 * 1024
"""Backslashes of a text that is mended."""
MAX_MENDED_HALVES: Final = 64 * 1024
"""Halves of surrogate pairs that are replaced in one text."""
MAX_NAME: Final = 1024
"""Characters of a member's name that are kept: more than of any that is known."""
MAX_MEMBERS: Final = 1024
"""Members of an object that is read member by member."""
UNWEIGHED_BYTES: Final = 1024 * 1024
"""JSON up to this size is decoded whatever is in it."""
MAX_VALUES: Final = 6 * 1024 * 1024
"""Commas and opening brackets of JSON that is decoded at all: to pass so many takes some 60 ms."""
MAX_READ_VALUES: Final = 512 * 1024
"""Commas and opening brackets of JSON whose arrays are read, in 40 MiB of memory."""
MAX_READ_ESCAPES: Final = 2 * 1024 * 1024
"""Backslashes of such JSON: what is nested is passed once for each level, which takes four times as long with escapes."""
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""How much of a text is decoded: more than of any that is recorded."""
MAX_FITTED_VALUES: Final = 1024
"""Items and members that are read one by one where some JSON is not as it should be: in 10 ms, if all are long numbers."""

ARRAY: Final = Decoder(list[Raw])
"""Reads an array, and not its items."""
OBJECT: Final = Decoder(dict[str, Raw])
"""Reads an object, and not its values."""
TEXT: Final = Decoder(str)

_LONGEST_ESCAPE: Final = len(rb"\ud83d\ude80")
_ANY: Final = Decoder[Any](Any)
_decoder: Final = cache(Decoder)
_fields: Final = cache(structs.fields)
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_WHOLE_ESCAPE: Final = rb"\\(?:[^u]|u(?![dD][89a-fA-F]))|" + _PAIR
_HALF: Final = rb"((?!" + _PAIR + rb")\\u[dD][89a-fA-F][0-9a-fA-F]{2})?+"
# Text with whole escapes only, and the half of a pair behind it, if there is one.
_UP_TO_HALF: Final = re.compile(rb"((?:[^\\]++|" + _WHOLE_ESCAPE + rb")*+)" + _HALF, re.DOTALL)


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
        text = bytes(data)
        if len(text) > MAX_MENDED_BYTES or text.count(b"\\") > MAX_MENDED_ESCAPES:
            raise
        return decoder.decode(_mended(text))


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


class _Name(str):
    """The name of a member, equal to no other name: a decoder keeps each of several members of one name."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


Members: TypeAlias = dict[_Name, Raw]
"""The members of an object in their order, each as it is written; there may be several of one name."""


class _Naming:
    """Makes the names of one object."""

    def __init__(self) -> None:
        self._left = MAX_MEMBERS

    def __call__(self, kind: type[_Name], name: str) -> _Name:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"an object has too many members: at most {MAX_MEMBERS} are allowed")
        return str.__new__(kind, name[:MAX_NAME])


def read_members(data: bytes | Raw) -> Members:
    """Read an object, and not its values.

    Raises:
        ValueError: It is no object, or has more than `MAX_MEMBERS` members.
        RecursionError: Nested too deeply to be decoded.
    """
    return decode(data, Decoder(Members, dec_hook=_Naming()))


class Weight(Enum):
    """What can be done with some JSON in 150 ms: read it, pass it to read its small members, or nothing."""

    READ = auto()
    PASSED = auto()
    REFUSED = auto()


def weigh(data: bytes) -> Weight:
    """Count what separates values, also within strings: there are no more values."""
    if len(data) <= UNWEIGHED_BYTES:
        return Weight.READ
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        return Weight.REFUSED
    is_read = values <= MAX_READ_VALUES and data.count(b"\\") <= MAX_READ_ESCAPES
    return Weight.READ if is_read else Weight.PASSED


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
    """Return a string that some JSON is, as much of it as `MAX_TEXT_BYTES` have; "" for everything else."""
    if not value:
        return ""
    view = memoryview(value)
    return read(value if len(view) <= MAX_TEXT_BYTES else _beginning(view), TEXT) or ""


def _beginning(value: memoryview) -> bytes:
    """Return a string of its beginning, which ends within no escape."""
    text = bytes(value[:MAX_TEXT_BYTES])
    escape = text.find(b"\\", MAX_TEXT_BYTES - _LONGEST_ESCAPE)
    return (text if escape < 0 else text[:escape].rstrip(b"\\")) + b'"'


def starts_with(value: Raw, opening: bytes) -> bool:
    """Say whether some JSON begins with this byte, which tells its type. `Raw` has no white space before it."""
    return bytes(memoryview(value)[:1]) == opening


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
    left = iter(range(MAX_MENDED_HALVES))

    def replaced(found: re.Match[bytes]) -> bytes:
        if not found[2]:
            return found[1]
        if next(left, None) is None:
            raise ValueError("too many halves of surrogate pairs")
        return found[1] + rb"\ufffd"

    return _UP_TO_HALF.sub(replaced, data)


def _check_once(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise RepeatedMemberError(name)
        seen.add(name)


MAX_TAIL_BYTES: Final = 32 * 1024
"""How much of the end of an object is read, and of its beginning."""
MAX_CANDIDATES: Final = 4
"""Places where a member may begin that are tried: names within the member itself may be the same."""


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
