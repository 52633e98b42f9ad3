"""What Google's `:predict` answers: embeddings by most of Vertex AI's models for them, and images.

Each embedding says how many tokens its text has. An image says nothing of the kind.

Source: Vertex AI, "Text embeddings API" and "Imagen API".
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from intercept.apis import Reader
from intercept.dialects.openai import usage_only
from intercept.records import Reading, TokenUsage, UsageSource

# A match after a backslash is inside a text of the response.
_COUNT: Final = re.compile(rb'(?<!\\)"token_?[cC]ount"\s*:\s*(\d{1,15})(?=[\s,}])')
_HELD_BYTES: Final = 64
"""How much of the end of a piece is read again: longer than a count with its name."""


class _Body:
    """Adds up the tokens of all predictions of a body of any length, of which it holds the end."""

    behind = False

    def __init__(self) -> None:
        self._whole = usage_only.body_reader()
        self._end = b""
        self._tokens: int | None = None

    def feed(self, chunk: bytes) -> None:
        self._whole.feed(chunk)
        data, at = self._end + chunk, 0
        for found in _COUNT.finditer(data):
            self._tokens = (self._tokens or 0) + int(found[1])
            at = found.end()
        self._end = data[max(at, len(data) - _HELD_BYTES) :]

    def step(self) -> bool:
        return False

    def result(self) -> Reading:
        reading = self._whole.result()
        if self._tokens is None:
            return reading
        source = UsageSource.PROVIDER if reading.complete or reading.open_ended else UsageSource.PARTIAL
        usage = TokenUsage(provider_response_id="", input_tokens=self._tokens, source=source)
        return replace(reading, token_usages=(usage,))


def body_reader() -> Reader:
    """Return a reader for a response in JSON."""
    return _Body()
