"""A reading in progress, and the texts it assembles from pieces: bounded in everything that is kept."""

from __future__ import annotations

from collections.abc import Hashable
from io import StringIO
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

from intercept.formats.json_text import read_object, read_struct, text_of
from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, TokenUsage, ToolUsage, UsageSource
from intercept.tokens import SERVICE_TIER

MAX_NAME: Final = 256
"""Characters of an id or a tool's name."""
MAX_TOOL_INPUT: Final = 256 * 1024
"""Characters of one tool call's input."""
MAX_THOUGHT: Final = 256 * 1024
"""Characters of one thought."""
MAX_TEXT: Final = 1024 * 1024
"""Characters of all texts of one reading: 4 MiB at worst, so that a record fits into MongoDB's 16 MiB."""
MAX_PARTS: Final = 256
"""Tool calls and thoughts of one reading."""
MAX_ERROR_MESSAGE: Final = 4 * 1024
"""Characters of a provider's error message."""
MAX_ERROR_TYPE: Final = 256
"""Characters of an error type."""
MAX_ERROR_BYTES: Final = 64 * 1024
"""The largest error that is read; of a larger one only its existence is recorded."""
MAX_USAGE_BYTES: Final = 32 * 1024
"""The largest usage object that is read. A larger one counts as not reported."""
MAX_TIER: Final = 64
"""Characters of the name of a service tier."""
UNNAMED_ERROR: Final = "unnamed_error"
"""The type of an error to which the provider gave none."""

_USUAL_TIERS: Final = frozenset({"default", "auto", "standard", "on_demand"})
_NULL: Final = b"null"
_NO_ERROR: Final = frozenset({b"", _NULL, b"false", b"0", b'""', b"[]", b"{}"})
_MAX_NO_ERROR_BYTES: Final = 64
_SPACE: Final = b" \t\r\n"


class _Error(Struct):
    type: Raw = Raw()
    code: Raw = Raw()
    status: Raw = Raw()
    message: Raw = Raw()


_ERROR: Final = Decoder(_Error)


class ToolCallDraft:
    """A tool call being assembled. `initial` is its first input, which is used if no more arrives."""

    def __init__(self, allowance: CharacterBudget) -> None:
        self.id = BoundedText(MAX_NAME, allowance)
        self.name = BoundedText(MAX_NAME, allowance)
        self.initial = BoundedText(MAX_TOOL_INPUT, allowance)
        self.input = BoundedText(MAX_TOOL_INPUT, allowance)

    @property
    def texts(self) -> tuple[BoundedText, ...]:
        """Everything of it that counts towards the allowance."""
        return self.id, self.name, self.initial, self.input

    def identify(self, call_id: str | None, name: str | None) -> None:
        """Take the id and the name, unless they are known: some servers repeat them in every delta."""
        for text, value in (self.id, call_id), (self.name, name):
            if not text:
                text.add(value)

    def record(self, response_id: str) -> ToolUsage:
        """Return the call so far."""
        text = self.input or self.initial
        return ToolUsage(
            provider_response_id=response_id,
            provider_tool_call_id=str(self.id),
            tool=str(self.name),
            input=str(text),
            truncated=any(part.truncated for part in (self.id, self.name, text)),
        )


class ThoughtDraft:
    """A thought being assembled."""

    def __init__(self, source: str, allowance: CharacterBudget) -> None:
        self.source = source
        self.text = BoundedText(MAX_THOUGHT, allowance)

    @property
    def texts(self) -> tuple[BoundedText, ...]:
        """Everything of it that counts towards the allowance."""
        return (self.text,)

    def record(self) -> ModelThought:
        """Return the thought so far."""
        return ModelThought(content=str(self.text), source=self.source, truncated=self.text.truncated)


P = TypeVar("P", ToolCallDraft, ThoughtDraft)


class Draft:
    """A response so far. `tokens` is the last usage seen; its source is decided at the end.

    `further_tokens` are those that the provider used before and does not count there. `text` is the text of the response.
    """

    def __init__(self) -> None:
        self.response_id = ""
        self.model = ""
        self.complete = False
        self.open_ended = False
        self.between_parts = False
        self.truncated = False
        self.error: ProviderError | None = None
        self.tokens: TokenUsage | None = None
        self.further_tokens: tuple[TokenUsage, ...] = ()
        self.text = ResponseText(is_kept=False)
        self.background_model = ""
        self._parts: dict[Hashable, ToolCallDraft | ThoughtDraft] = {}
        self._allowance = CharacterBudget(MAX_TEXT)

    def keep_text(self) -> None:
        """Keep the text of the response too."""
        self.text = ResponseText(is_kept=True)

    def identify(self, response_id: str | None, model: str | None = None) -> None:
        """Take the response's id and its model; the first ones stay."""
        self.response_id = self.response_id or (response_id or "")[:MAX_NAME]
        self.model = self.model or (model or "")[:MAX_NAME]

    def fail(self, error: ProviderError | None) -> None:
        """Take an error, if it is one; the first one stays."""
        self.error = self.error or error

    def read_usage(self, usage: Raw, tier: str | None = None) -> dict[str, Any]:
        """Read a usage object; empty if it is no object or larger than `MAX_USAGE_BYTES`.

        `tier` is the service tier of the response, which some providers say beside the usage: any but the default one
        becomes a part of it, as `service_tier`.
        """
        if len(usage) <= len(_NULL):
            return {}
        if len(usage) > MAX_USAGE_BYTES:
            self.truncated = True
            return {}
        read = read_object(usage)
        is_usual = not tier or tier in _USUAL_TIERS or len(tier) > MAX_TIER
        return read if is_usual or not read else read | {SERVICE_TIER: tier}

    def part(self, key: Hashable) -> ToolCallDraft | ThoughtDraft | None:
        """Return the tool call or thought begun under this key."""
        return self._parts.get(key)

    def begin_tool_call(self, key: Hashable) -> ToolCallDraft | None:
        """Begin a tool call in place of what the key had; None if there are too many parts."""
        return self._begin(key, ToolCallDraft(self._allowance)) if self._has_room(key) else None

    def begin_thought(self, key: Hashable, source: str) -> ThoughtDraft | None:
        """Begin a thought in place of what the key had; None if there are too many parts."""
        return self._begin(key, ThoughtDraft(source, self._allowance)) if self._has_room(key) else None

    def add_reasoning(self, key: Hashable, text: str | None) -> None:
        """Add to the reasoning under a key. It begins with the first text: no event begins it."""
        if text:
            thought = self.part(key) or self.begin_thought(key, "reasoning")
            if isinstance(thought, ThoughtDraft):
                thought.text.add(text)

    @property
    def is_full(self) -> bool:
        """Whether no further tool call or thought can begin."""
        return len(self._parts) >= MAX_PARTS

    def clear_parts(self) -> None:
        """Forget all tool calls and thoughts, and the text."""
        self._parts = {}
        self._allowance = CharacterBudget(MAX_TEXT)
        self.text = ResponseText(is_kept=self.text.is_kept)

    def reading(self) -> Reading:
        """Return the reading that the draft amounts to."""
        parts = self._parts.values()
        source = UsageSource.PROVIDER if self.complete else UsageSource.PARTIAL
        usages = (*self.further_tokens, self.tokens) if self.tokens else ()
        return Reading(
            response_id=self.response_id,
            model=self.model,
            complete=self.complete,
            open_ended=self.open_ended and not self.complete,
            between_parts=self.between_parts and not self.complete,
            truncated=self.truncated,
            error=self.error,
            token_usages=tuple(
                [structs.replace(usage, provider_response_id=self.response_id, source=source) for usage in usages]
            ),
            tool_usages=tuple(
                [part.record(self.response_id) for part in parts if isinstance(part, ToolCallDraft) and part.name]
            ),
            model_thoughts=tuple([part.record() for part in parts if isinstance(part, ThoughtDraft) and part.text]),
            response=self.text.record(),
            background_model=self.background_model,
        )

    def _has_room(self, key: Hashable) -> bool:
        has_room = key in self._parts or not self.is_full
        self.truncated = self.truncated or not has_room
        return has_room

    def _begin(self, key: Hashable, part: P) -> P:
        replaced = self._parts.get(key)
        for text in replaced.texts if replaced else ():
            text.release()
        if replaced is None:
            self.text.interrupt()
        self._parts[key] = part
        return part


def read_error(error: Raw) -> ProviderError | None:
    """Read an error object of any dialect, or the plain text that some servers send instead.

    Any value is an error, unless it is empty, zero, false or null.
    """
    if len(error) <= _MAX_NO_ERROR_BYTES and bytes(error).translate(None, _SPACE) in _NO_ERROR:
        return None
    if len(error) > MAX_ERROR_BYTES:
        return name_error()
    data = read_struct(error, _ERROR)
    if data is None:
        return name_error(message=text_of(error))
    kind = next(filter(None, map(text_of, (data.type, data.code, data.status))), "")  # Google's code is a number
    return name_error(kind, text_of(data.message))


def name_error(kind: str | None = None, message: str | None = None) -> ProviderError:
    """Make an error of the words for it."""
    return ProviderError(type=(kind or UNNAMED_ERROR)[:MAX_ERROR_TYPE], message=(message or "")[:MAX_ERROR_MESSAGE])


MAX_RESPONSE: Final = 256 * 1024
"""Characters of the text of a response."""

_APART: Final = "\n\n"


class CharacterBudget(Struct):
    """How many characters may still be kept."""

    characters: int


class BoundedText:
    """Text that grows by pieces, up to its own cap and its reading's allowance. Nothing follows a cut."""

    def __init__(self, cap: int, allowance: CharacterBudget) -> None:
        self._room = cap
        self._allowance = allowance
        self._pieces = StringIO()
        self.truncated = False

    def add(self, piece: str | None) -> None:
        """Append a piece."""
        if not piece or self.truncated:
            return
        kept = piece[: min(self._room, self._allowance.characters)]
        self.truncated = len(kept) < len(piece)
        self._room -= len(kept)
        self._allowance.characters -= len(kept)
        self._pieces.write(kept)

    def release(self) -> None:
        """Give the allowance back: this text will not be kept."""
        self._allowance.characters += self._pieces.tell()

    def __bool__(self) -> bool:
        return self._pieces.tell() > 0

    def __str__(self) -> str:
        return self._pieces.getvalue()


class ResponseText:
    """The text of a response, with its own allowance.

    Parts that are not adjacent are separated.

    Args:
        is_kept: Whether it is recorded. If not, nothing is collected.

    Attributes:
        truncated: Whether some of it was dropped.
    """

    def __init__(self, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.truncated = False
        self._text = BoundedText(MAX_RESPONSE, CharacterBudget(MAX_RESPONSE))
        self._is_interrupted = False
        self._part: int | None = None
        self._part_is_empty = True

    def interrupt(self) -> None:
        """Note that something else came, such as a tool call."""
        self._is_interrupted = True

    def begin(self, part: int) -> bool:
        """Start a separate part; return whether it is still empty and may be filled."""
        if part != self._part:
            self._part, self._part_is_empty, self._is_interrupted = part, True, True
        return self._part_is_empty and self.is_kept

    def add(self, piece: str | None) -> None:
        """Append a piece."""
        if not piece or not self.is_kept:
            return
        if self._is_interrupted and self._text:
            self._text.add(_APART)
        self._is_interrupted = self._part_is_empty = False
        self._text.add(piece)

    def record(self) -> ModelResponse | None:
        """Return the text so far; None without one."""
        truncated = self.truncated or self._text.truncated
        return ModelResponse(text=str(self._text), truncated=truncated) if self._text else None
