"""Texts being assembled from pieces, and bounded."""

from __future__ import annotations

from io import StringIO
from typing import Final

from msgspec import Struct

from intercept.records import ModelResponse

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
