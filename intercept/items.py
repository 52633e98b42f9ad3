"""The messages of a request, or its input items: what is read of them, and nothing else, each at most once.

Values of other types than these are passed over and not built: that a client sends numbers or arrays there costs no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.formats.json_text import read_struct

MAX_PARTS: Final = 1024
"""Parts of a message's content that are looked at, from its end."""


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

    `tool_call_id` is the id of the tool call that a message answers, `call_id` of that which an input item answers.
    """

    role: str = ""
    type: str = ""
    content: str | list[Raw] | None = None
    tool_call_id: str = ""
    call_id: str = ""

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
            item = self._read[at] = self._decode(self._raw[at])
        return item

    def raw(self, at: int) -> Raw:
        """The item at a place as it was sent."""
        return self._raw[at]

    def _decode(self, raw: Raw) -> Item:
        return read_struct(raw, _ITEM) or Item()
