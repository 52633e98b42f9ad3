"""A reading under way, bounded in everything it keeps."""

from __future__ import annotations

from collections.abc import Hashable
from io import StringIO
from typing import Final

from msgspec import structs

from intercept.formats.json_text import as_object, as_text
from intercept.records import (
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
    UsageSource,
)

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
UNNAMED_ERROR: Final = "unnamed_error"
"""The type of an error to which the provider gave none."""


class Allowance:
    """How many characters a reading may still keep."""

    def __init__(self, characters: int = MAX_TEXT) -> None:
        self.characters = characters


class Text:
    """Text that grows by pieces, up to its own cap and its reading's allowance. Nothing follows a cut."""

    def __init__(self, cap: int, allowance: Allowance) -> None:
        self._room = cap
        self._allowance = allowance
        self._pieces = StringIO()
        self.truncated = False

    def add(self, piece: object) -> None:
        """Append a piece; what is not a string adds nothing."""
        if not isinstance(piece, str) or self.truncated:
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


class ToolCall:
    """A tool call being assembled. `initial` is the input it was announced with, which stands if no more comes."""

    def __init__(self, allowance: Allowance) -> None:
        self.id = Text(MAX_NAME, allowance)
        self.name = Text(MAX_NAME, allowance)
        self.initial = Text(MAX_TOOL_INPUT, allowance)
        self.input = Text(MAX_TOOL_INPUT, allowance)

    @property
    def texts(self) -> tuple[Text, ...]:
        """Everything of it that counts towards the allowance."""
        return self.id, self.name, self.initial, self.input

    def identify(self, call_id: object, name: object) -> None:
        """Take the id and the name, unless they are known: some servers repeat them in every delta."""
        for text, value in (self.id, call_id), (self.name, name):
            if not text:
                text.add(value)

    def record(self, response_id: str) -> ToolUsage:
        """Return the call as far as it is known."""
        text = self.input or self.initial
        return ToolUsage(
            provider_response_id=response_id,
            provider_tool_call_id=str(self.id),
            tool=str(self.name),
            input=str(text),
            truncated=any(part.truncated for part in (self.id, self.name, text)),
        )


class Thought:
    """A thought being assembled."""

    def __init__(self, source: str, allowance: Allowance) -> None:
        self.source = source
        self.text = Text(MAX_THOUGHT, allowance)

    @property
    def texts(self) -> tuple[Text, ...]:
        """Everything of it that counts towards the allowance."""
        return (self.text,)

    def record(self) -> ModelThought:
        """Return the thought as far as it is known."""
        return ModelThought(content=str(self.text), source=self.source, truncated=self.text.truncated)


class Draft:
    """What a response amounts to so far. `tokens` is the last usage seen; its source is decided in the end."""

    def __init__(self) -> None:
        self.response_id = ""
        self.complete = False
        self.open_ended = False
        self.truncated = False
        self.error: ProviderError | None = None
        self.tokens: TokenUsage | None = None
        self._parts: dict[Hashable, ToolCall | Thought] = {}
        self._allowance = Allowance()

    def identify(self, response_id: object) -> None:
        """Take the response's id; the first one stays."""
        self.response_id = self.response_id or as_text(response_id)[:MAX_NAME]

    def fail(self, error: object) -> None:
        """Take an error in the provider's words; the first one stays, and an empty value is none."""
        if error and self.error is None:
            self.error = provider_error(error)

    def part(self, key: Hashable) -> ToolCall | Thought | None:
        """Return the tool call or thought begun under this key."""
        return self._parts.get(key)

    def begin_tool_call(self, key: Hashable) -> ToolCall | None:
        """Begin a tool call in place of what the key had; None if there are too many parts."""
        call = ToolCall(self._allowance)
        return call if self._begin(key, call) else None

    def begin_thought(self, key: Hashable, source: str) -> Thought | None:
        """Begin a thought in place of what the key had; None if there are too many parts."""
        thought = Thought(source, self._allowance)
        return thought if self._begin(key, thought) else None

    def clear_parts(self) -> None:
        """Forget all tool calls and thoughts."""
        self._parts = {}
        self._allowance = Allowance()

    def reading(self) -> Reading:
        """Return the reading that the draft amounts to."""
        parts = self._parts.values()
        source = UsageSource.PROVIDER if self.complete else UsageSource.PARTIAL
        tokens = self.tokens and structs.replace(self.tokens, provider_response_id=self.response_id, source=source)
        return Reading(
            response_id=self.response_id,
            complete=self.complete,
            open_ended=self.open_ended and not self.complete,
            truncated=self.truncated,
            error=self.error,
            token_usages=(tokens,) if tokens else (),
            tool_usages=tuple(
                part.record(self.response_id) for part in parts if isinstance(part, ToolCall) and part.name
            ),
            model_thoughts=tuple(part.record() for part in parts if isinstance(part, Thought) and part.text),
        )

    def _begin(self, key: Hashable, part: ToolCall | Thought) -> bool:
        replaced = self._parts.get(key)
        if replaced is None and len(self._parts) >= MAX_PARTS:
            self.truncated = True
            return False
        for text in replaced.texts if replaced else ():
            text.release()
        self._parts[key] = part
        return True


def provider_error(error: object) -> ProviderError:
    """Read an error object of either dialect, or the plain text that some servers send in its place."""
    told = as_object(error)
    kind = as_text(told.get("type")) or as_text(told.get("code")) or UNNAMED_ERROR
    message = as_text(told.get("message")) or as_text(error)
    return ProviderError(type=kind[:MAX_ERROR_TYPE], message=message[:MAX_ERROR_MESSAGE])
