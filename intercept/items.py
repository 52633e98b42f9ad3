"""The messages or input items of a request: only what is read from them, each at most once.

Only what is asked for is decoded, so unexpected numbers or arrays cost no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.formats.json_text import MAX_TEXT_BYTES, read_array, read_struct, starts_with, text_of

MAX_PARTS: Final = 1024
"""Parts of a message's content that are read, from its end."""


class Part(Struct):
    """A part of a message's content.

    `tool_use_id` is the id of the tool call that it answers, `content` what that gave; Amazon has both in an object under
    `toolResult`.
    """

    type: str = ""
    raw_text: Raw = field(default_factory=Raw, name="text")
    tool_use_id: str = ""
    tool_result: Raw = field(default_factory=Raw, name="toolResult")
    content: Raw = field(default_factory=Raw)
    is_error: bool = False

    @property
    def text(self) -> str:
        """Its text, "" if it has none."""
        return text_of(self.raw_text)


class Item(Struct, dict=True):
    """A message, or an input item of responses. What is no object has nothing.

    `tool_call_id` is the id of the tool call that a message answers, `call_id` of that which an input item is or answers.
    """

    role: str = ""
    type: str = ""
    content: Raw = field(default_factory=Raw)
    tool_call_id: str = ""
    call_id: str = ""
    id: str = ""

    @property
    def answered_call_id(self) -> str:
        """The id of the tool call whose result an input item is, "" if it is none; that of a local shell may be its own."""
        return (self.call_id or self.id) if self.type.endswith("_call_output") else ""

    @cached_property
    def text(self) -> str:
        """The content where it is one text, else ""."""
        return text_of(self.content) if starts_with(self.content, b'"') else ""

    @cached_property
    def last(self) -> list[Raw]:
        """The last `MAX_PARTS` parts of the content, where it is a list."""
        return read_array(self.content)[-MAX_PARTS:] if starts_with(self.content, b"[") else []

    @cached_property
    def parts(self) -> list[Part]:
        """The last parts, as far as they are objects; beyond `MAX_TEXT_BYTES`, counted from the end, they have no text."""
        parts: list[Part] = []
        room = MAX_TEXT_BYTES
        for raw in reversed(self.last):
            if (part := read_struct(raw, _PART)) is not None:
                room -= len(memoryview(part.raw_text))
                if room < 0:
                    part.raw_text = Raw()
                parts.append(part)
        return parts[::-1]


_ITEM: Final = Decoder(Item)
_PART: Final = Decoder(Part)


class Items(Sequence[Item]):
    """The items of a conversation, each read at its first use.

    Attributes:
        all: Their bytes.
    """

    def __init__(self, items: Sequence[Raw]) -> None:
        self.all = items
        self._read: dict[int, Item] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self.all)

    def __getitem__(self, at: int) -> Item:  # type: ignore[override]
        """The item at a place, 0 or more."""
        item = self._read.get(at)
        if item is None:
            item = self._read[at] = self._decode(self.all[at])
        return item

    def raw(self, at: int) -> Raw:
        """The bytes of the item at an index."""
        return self.all[at]

    def _decode(self, raw: Raw) -> Item:
        return read_struct(raw, _ITEM) or Item()
