"""The results of a batch: a line of JSON for each request of it, in any order, as Anthropic and OpenAI both have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Raw
from msgspec.structs import replace

from intercept.dialects.drafts import MAX_NAME, MAX_USAGE_BYTES
from intercept.dialects.request_bodies import MAX_MODEL
from intercept.formats.json_text import read_object
from intercept.records import TokenUsage
from intercept.tokens import BATCH_TIER, SERVICE_TIER

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""The longest line that is read. Of a longer one nothing is known."""


class BatchResult(NamedTuple):
    """A request of a batch that got a response, which `custom_id` and the response's id name. It has at least one usage."""

    custom_id: str
    response_id: str
    model: str
    usages: tuple[TokenUsage, ...]


ReadLine: TypeAlias = Callable[[bytes], BatchResult | None]
"""Reads a line; None if it has no tokens."""


def make_result(
    custom_id: str, response_id: str, model: str, usage: Raw, read: Callable[[dict[str, Any]], Iterable[TokenUsage]]
) -> BatchResult | None:
    """Make a result of a response's usage object, whose usages `read` returns; None without any or a usable model.

    Its service tier is that of batches, which only Anthropic says there.
    """
    used = read_object(usage) if 0 < len(usage) <= MAX_USAGE_BYTES else {}
    usages = read(used | {SERVICE_TIER: BATCH_TIER}) if used else ()
    id_ = response_id[:MAX_NAME]
    named = tuple([replace(one, provider_response_id=id_) for one in usages])
    return BatchResult(custom_id, id_, model, named) if named and 0 < len(model) <= MAX_MODEL else None


class BatchResultLines:
    """Turns the bytes of the results into results. Holds one unfinished line, and no more of it than is read.

    Attributes:
        skipped: How many lines were longer than `MAX_LINE_BYTES`.
    """

    def __init__(self, read: ReadLine) -> None:
        self.skipped = 0
        self._read = read
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

    @property
    def is_within_line(self) -> bool:
        """Whether a line has begun that nothing has ended."""
        return bool(self._line)

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
        return self._read(line)
