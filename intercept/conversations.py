"""The conversation that a request continues, by its content: for clients without an id of the conversation.

Such a client sends the whole conversation with each request, and appends to it. So each request contains the previous one:
everything before the model's last message. Pure, and bounded whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from hashlib import sha256
from typing import Final, TypeAlias
from uuid import UUID

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.dialects.drafts import MAX_NAME
from intercept.formats.json_text import read_struct, text_of
from intercept.items import Item, Items
from intercept.records import Conversation

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
