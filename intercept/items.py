"""The messages or input items of a request: only what is read from them, each at most once.

Values of other types are skipped and not built, so unexpected numbers or arrays cost no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.formats.json_text import read_struct

MAX_PARTS: Final = 1024
"""Parts of a message's content that are read, from its end."""


class Part(Struct):
    """A part of a message's content.

    `tool_use_id` is the id of the tool call that it answers; Amazon has that in an object under `toolResult`. `content` is
    then what the call gave, and `content_bytes` the size of what was left out of a large body.
    """

    type: str = ""
    text: str = ""
    tool_use_id: str = ""
    tool_result: Raw = field(default_factory=Raw, name="toolResult")
    content: Raw = field(default_factory=Raw)
    content_bytes: Raw = field(default_factory=Raw, name="content.bytes")
    is_error: bool = False


class Item(Struct, dict=True):
    """A message, or an input item of responses. What is no object has nothing.

    `tool_call_id` is the id of the tool call that a message answers, `call_id` of that which an input item is or answers.
    """

    role: str = ""
    type: str = ""
    content: str | list[Raw] | None = None
    tool_call_id: str = ""
    call_id: str = ""
    id: str = ""

    @property
    def answered_call_id(self) -> str:
        """The id of the tool call whose result an input item is, "" if it is none; that of a local shell may be its own."""
        return (self.call_id or self.id) if self.type.endswith("_call_output") else ""

    @property
    def text(self) -> str:
        """The content where it is one text, else ""."""
        return self.content if isinstance(self.content, str) else ""

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the content that are objects, the last `MAX_PARTS` of it."""
        last = self.content[-MAX_PARTS:] if isinstance(self.content, list) else []
        return [part for each in last if (part := read_struct(each, _PART)) is not None]


_ITEM: Final = Decoder(Item)
_PART: Final = Decoder(Part)


class Items(Sequence[Item]):
    """The items of a conversation, each read at its first use."""

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
            item = self._read[at] = self._decode(self._raw[at])
        return item

    def raw(self, at: int) -> Raw:
        """The bytes of the item at an index."""
        return self._raw[at]

    def _decode(self, raw: Raw) -> Item:
        return read_struct(raw, _ITEM) or Item()
