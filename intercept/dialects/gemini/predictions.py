"""What Google's `:predict` answers: embeddings by most of Vertex AI's models for them, and images.

Each embedding says how many tokens its text has. An image says nothing of the kind.

Source: Vertex AI, "Text embeddings API" and "Imagen API".
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from intercept.dialects.openai.usage_only import UsageReader
from intercept.records import Reading, TokenUsage, UsageSource

# A match after a backslash is inside a text of the response.
_COUNT: Final = re.compile(rb'(?<!\\)"token_?[cC]ount"\s*:\s*(\d{1,15})(?=[\s,}])')
_HELD_BYTES: Final = 64
"""How much of the end of a piece is read again: longer than a count with its name."""


class _Body(UsageReader):
    """Adds up the tokens of all predictions too."""

    def __init__(self) -> None:
        super().__init__()
        self._end = b""
        self._tokens: int | None = None

    def feed(self, chunk: bytes) -> None:
        super().feed(chunk)
        data, at = self._end + chunk, 0
        for found in _COUNT.finditer(data):
            self._tokens = (self._tokens or 0) + int(found[1])
            at = found.end()
        self._end = data[max(at, len(data) - _HELD_BYTES) :]

    def result(self) -> Reading:
        reading = super().result()
        if self._tokens is None:
            return reading
        source = UsageSource.PROVIDER if reading.complete or reading.open_ended else UsageSource.PARTIAL
        usage = TokenUsage(provider_response_id="", input_tokens=self._tokens, source=source)
        return replace(reading, token_usages=(usage,))


body_reader: Final = _Body
