"""The results of Anthropic's message batches: a line of JSON for each request of a batch, in any order.

Source: Anthropic API reference, "Retrieve Message Batch results".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.dialects.anthropic.messages import tokens
from intercept.dialects.drafts import MAX_NAME, MAX_USAGE_BYTES
from intercept.dialects.request_bodies import MAX_MODEL
from intercept.formats.json_text import read_object, read_struct
from intercept.records import TokenUsage

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""The longest line that is read. Of a longer one nothing is known."""


class _Message(Struct):
    id: str = ""
    model: str = ""
    usage: Raw = Raw()


class _Result(Struct):
    type: str = ""
    message: _Message = field(default_factory=_Message)


class _Line(Struct):
    custom_id: str = ""
    result: _Result = field(default_factory=_Result)


_LINE: Final = Decoder(_Line)


class BatchResult(NamedTuple):
    """A request of a batch that got its message, which `custom_id` and the message's id name."""

    custom_id: str
    model: str
    usage: TokenUsage


class BatchResultLines:
    """Turns the bytes of the results into results. Holds one unfinished line, and no more of it than is read.

    Attributes:
        skipped: How many lines were longer than `MAX_LINE_BYTES`.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._line = bytearray()
        self._is_too_long = False

    def feed(self, chunk: bytes) -> list[BatchResult]:
        """Take the next bytes, cut anywhere; return the results whose lines they end."""
        *ended, rest = chunk.split(b"\n")
        results = []
        for piece in ended:
            self._add(piece)
            if (result := self._end()) is not None:
                results.append(result)
        self._add(rest)
        return results

    def end(self) -> list[BatchResult]:
        """The body is over; return what its last line was, if nothing ended it."""
        result = self._end()
        return [] if result is None else [result]

    def _add(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > MAX_LINE_BYTES:
            self._is_too_long = True
            self._line.clear()
        if not self._is_too_long:
            self._line += piece

    def _end(self) -> BatchResult | None:
        line, self._line = bytes(self._line), bytearray()
        self.skipped += self._is_too_long
        self._is_too_long = False
        return _read(line)


def _read(line: bytes) -> BatchResult | None:
    told = read_struct(line, _LINE)
    if told is None or told.result.type != "succeeded":
        return None
    message = told.result.message
    usage = tokens(read_object(message.usage)) if 0 < len(message.usage) <= MAX_USAGE_BYTES else None
    if usage is None or not message.model or len(message.model) > MAX_MODEL:
        return None
    return BatchResult(told.custom_id, message.model, replace(usage, provider_response_id=message.id[:MAX_NAME]))
