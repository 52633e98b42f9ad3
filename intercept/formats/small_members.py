"""Keeps what is small of an answer that has too much in it to be read: what it used is small, whatever else is there."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import msgspec

from intercept.apis import InvalidRequestError
from intercept.formats.json_walk import WINDOW_BYTES, Steps
from intercept.formats.large_bodies import Scan

INNER: Final = ("response", "message")
"""Members of an event that have what an answer of one piece has itself."""
MAX_KEPT_BYTES: Final = 256 * 1024
"""Bytes of all members that are kept of an answer with too much in it."""
MAX_STEPS: Final = 10_000
"""Steps for such an answer, in some 50 ms: 16 MiB of the probabilities of tokens take 2,000."""


def small_members(body: bytes) -> Generator[None, None, bytes | None]:
    """Keep the members of a JSON object of at most `WINDOW_BYTES` each, in short steps; None if it is no object."""
    try:
        return (yield from _SmallMembers(body).whole())
    except InvalidRequestError:
        return None


class _SmallMembers(Scan):
    def whole(self) -> Steps:
        self._space()
        self._room = MAX_KEPT_BYTES
        if self._byte() != b"{":
            raise self._malformed()
        kept = yield from self._members(INNER)
        self._space()
        if self.at < len(self.body):
            raise self._malformed()
        return kept

    def _step(self) -> None:
        super()._step()
        if self.steps > MAX_STEPS:
            raise InvalidRequestError("the answer has too many values")

    def _members(self, inner: tuple[str, ...] = ()) -> Steps:
        kept: list[bytes] = []
        more = self._open(b"}")
        while more:
            key = yield from self._key()
            start = self.at
            value = yield from self._raw()
            size = self.at - start
            if size > WINDOW_BYTES and key in inner and self.body[start : start + 1] == b"{":
                self.at = start
                value = yield from self._members()
                size = 0  # it has counted what it keeps
            if size <= min(WINDOW_BYTES, self._room):
                self._room -= size
                kept.append(msgspec.json.encode(key) + b":" + value)
            more = self._goes_on(b"}")
        return b"{" + b",".join(kept) + b"}"
