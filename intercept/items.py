"""The messages of a request, or its input items: what is read of them, and nothing else, each at most once.

Values that nobody asks for are passed over and not built: that a client sends numbers or arrays there costs no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.formats.json_text import read

MAX_PARTS: Final = 1024
"""Parts of a message's content that are looked at, from its end."""


class _Fields(Struct):
    role: Raw = Raw()
    type: Raw = Raw()
    content: Raw = Raw()
    tool_call_id: Raw = Raw()
    call_id: Raw = Raw()


class _PartFields(Struct):
    type: Raw = Raw()
    text: Raw = Raw()
    tool_use_id: Raw = Raw()


_FIELDS: Final = Decoder(_Fields)
_PART: Final = Decoder(_PartFields)
_TEXT: Final = Decoder(str)
_ARRAY: Final = Decoder(list[Raw])


class Part:
    """A part of a message's content."""

    def __init__(self, fields: _PartFields) -> None:
        self._fields = fields
        self.type = text_of(fields.type)

    @cached_property
    def text(self) -> str:
        """Its text, "" if there is none."""
        return text_of(self._fields.text)

    @property
    def tool_use_id(self) -> str:
        """The id of the tool call that it answers."""
        return text_of(self._fields.tool_use_id)


class Item:
    """A message, or an input item of responses. What is no object has nothing."""

    def __init__(self, data: Raw) -> None:
        self._fields = fields = (read(data, _FIELDS) if _begins(data, b"{") else None) or _Fields()
        self.role = text_of(fields.role)
        self.type = text_of(fields.type)

    @cached_property
    def text(self) -> str:
        """The content where it is one text, else ""."""
        return text_of(self._fields.content)

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the content that are objects, the last `MAX_PARTS` of it."""
        content = self._fields.content
        last = (read(content, _ARRAY) or [])[-MAX_PARTS:] if _begins(content, b"[") else []
        objects = [part for part in last if _begins(part, b"{")]
        return [Part(fields) for part in objects if (fields := read(part, _PART)) is not None]

    @property
    def tool_call_id(self) -> str:
        """The id of the tool call that a message answers."""
        return text_of(self._fields.tool_call_id)

    @property
    def call_id(self) -> str:
        """The id of the tool call that an input item answers."""
        return text_of(self._fields.call_id)


class Items(Sequence[Item]):
    """The items of a conversation, each read when it is first looked at."""

    def __init__(self, items: Sequence[Raw]) -> None:
        self._raw = items
        self._read: dict[int, Item] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._raw)

    def __getitem__(self, at: int) -> Item:  # type: ignore[override]
        """The item at a place, 0 or more."""
        item = self._read.get(at)
        if item is None:
            item = self._read[at] = Item(self._raw[at])
        return item


def text_of(value: Raw) -> str:
    """Return a string that some JSON is, "" for everything else."""
    return (read(value, _TEXT) or "") if _begins(value, b'"') else ""


def _begins(value: Raw, byte: bytes) -> bool:
    return bytes(memoryview(value)[:1]) == byte
