"""The messages or input items of a request, and by their content the conversation that the request continues.

Only what is asked for is decoded, each at most once, so unexpected numbers or arrays cost no time.

A client without an id of the conversation sends the whole of it with each request, and appends to it. So each request contains
the previous one: everything before the model's last message. Pure, and bounded whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from functools import cached_property
from hashlib import sha256
from typing import Final, TypeAlias
from uuid import UUID

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.dialects.drafts import MAX_NAME
from intercept.formats.json_text import MAX_TEXT_BYTES, read_array, read_struct, starts_with, text_of
from intercept.records import Conversation

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

    `tool_call_id` is the id of the tool call that a message answers, `call_id` of that which an input item is or answers, and
    `output` what that call gave.
    """

    role: str = ""
    type: str = ""
    content: Raw = field(default_factory=Raw)
    tool_call_id: str = ""
    call_id: str = ""
    id: str = ""
    output: Raw = field(default_factory=Raw)
    is_error: bool = False

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

    def _decode(self, raw: Raw) -> Item:
        return read_struct(raw, _ITEM) or Item()


MAX_SCANNED: Final = 128
"""Items that are compared, from the end of a conversation."""
MAX_HEAD_ITEMS: Final = 9
"""Items of the beginning among which the first user message is looked for."""
MAX_COMPARED_CHARACTERS: Final = 64 * 1024
"""Characters by which messages are compared."""
KEY_BYTES: Final = 16
"""Size of a key."""

ItemTexts: TypeAlias = Callable[[Item], Iterable[str]]
"""Returns the texts of a message or input item of a client, and the ids of the tool calls that it answers."""


class _Conversation(Struct):
    id: Raw = Raw()


_CONVERSATION: Final = Decoder(_Conversation)
_UUID_CHARACTERS: Final = 36


class Side(Enum):
    """The author of an item of a conversation: a user or a tool, the model, the client program, or unknown."""

    CLIENT = auto()
    MODEL = auto()
    PROGRAM = auto()
    UNKNOWN = auto()


_BY_ROLE: Final = {
    **dict.fromkeys(("user", "tool", "function"), Side.CLIENT),
    **dict.fromkeys(("system", "developer"), Side.PROGRAM),
    **dict.fromkeys(("assistant", "model"), Side.MODEL),
}


def read_conversation(items: Items | str, texts_of: ItemTexts) -> Conversation | None:
    """Return the position of a request in its conversation; None if it cannot be found.

    Args:
        items: All messages, or input items; a text is the only message.
        texts_of: Returns the texts of a message.
    """
    if isinstance(items, str):
        text = items[:MAX_COMPARED_CHARACTERS]
        return Conversation(key=_key(_digest(text), text)) if text else None
    first, last, before = _first(items), *_ends(items)
    if first is None or last is None:
        return None
    texts = {at: _text(items[at], texts_of) for at in {first, last, before} if at is not None}
    if not texts[first]:
        return None
    opening = _digest(texts[first])
    key = _key(opening, texts[last])
    continues = _key(opening, texts[before]) if before is not None else None
    return Conversation(key=key, continues=continues) if key or continues else None


def conversation_id(conversation: Raw, cache_key: Raw) -> str | None:
    """Return the id that a body gives its conversation, None if it gives none.

    Args:
        conversation: `conversation` of a responses request: an id, or an object with one.
        cache_key: `prompt_cache_key`. Pi, Copilot and Codex put the conversation's id there, a UUID. Programs write one for
            all that they send there, so that nothing else counts.
    """
    if not (conversation or cache_key):
        return None
    decoded = read_struct(conversation, _CONVERSATION)
    id_, key = text_of(conversation if decoded is None else decoded.id), text_of(cache_key)
    return (id_[:MAX_NAME] if id_.strip() else None) or (key if _is_uuid(key) else None)


def _first(items: Items) -> int | None:
    """Index of the first user message, after the messages of the client program itself."""
    for at in range(min(len(items), MAX_HEAD_ITEMS)):
        side = side_of(items[at])
        if side in (Side.CLIENT, Side.UNKNOWN):
            return at if side is Side.CLIENT else None
    return None


def _ends(items: Items) -> tuple[int | None, int | None]:
    """Indexes of the client's last item, and of the last one before the model's last message."""
    last = None
    model_wrote = False
    end = len(items) - 1
    for at in range(end, max(-1, end - MAX_SCANNED), -1):
        match side_of(items[at]):
            case Side.CLIENT if last is None:
                last = at
            case Side.CLIENT if model_wrote:
                return last, at
            case Side.MODEL if last is None:  # a beginning of the response, which the model is to continue
                pass
            case Side.MODEL:
                model_wrote = True
            case Side.UNKNOWN:
                break
    return last, None


def side_of(item: Item) -> Side:
    """Return who wrote an item: some have a role, the others a type."""
    if item.role or not item.type:
        return _BY_ROLE.get(item.role, Side.UNKNOWN)
    return Side.CLIENT if item.type.endswith(("_output", "_response")) else Side.MODEL


def _text(item: Item, texts_of: ItemTexts) -> str:
    return "\n".join([text[:MAX_COMPARED_CHARACTERS] for text in texts_of(item) if text])[-MAX_COMPARED_CHARACTERS:]


def _key(opening: bytes, last: str) -> bytes | None:
    """Return the digest of a conversation that begins and ends like this; None where the end has no words."""
    return _digest(last, opening)[:KEY_BYTES] if last else None


def _digest(text: str, before: bytes = b"") -> bytes:
    return sha256(before + text.encode(errors="replace")).digest()


def _is_uuid(text: str) -> bool:
    if len(text) != _UUID_CHARACTERS:
        return False
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
