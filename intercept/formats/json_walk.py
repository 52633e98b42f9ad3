"""Walks over JSON in steps, so that other requests do not wait.

The grammar is that of RFC 8259. Most of a body is taken by regular expressions that never look back (possessive
quantifiers), in windows of bounded size; only what is larger than a window or nested more deeply than they go takes a
step of Python for each value.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeAlias

from msgspec.json import Decoder

from intercept.apis import InvalidRequestError
from intercept.formats.json_patterns import Find, find_items, find_members, find_scalar, find_space, find_text
from intercept.formats.json_text import decode

WINDOW_BYTES: Final = 16 * 1024
"""How much of a body one step reads: 2 ms at worst."""
MAX_STEPS: Final = 500_000
"""Steps for one body, which take a second of the processor altogether, and some four where long strings are kept."""
MAX_SPACE: Final = 1024 * 1024
"""Bytes of white space in one place of a large body."""
MAX_DEPTH: Final = 512
"""How deeply a large body may be nested."""
MAX_KEY: Final = 256
"""Characters that are kept of the name of a member: more than of any that is read."""

Body: TypeAlias = bytes | bytearray

Steps: TypeAlias = Generator[None, None, bytes]
"""Work in steps of a few milliseconds each; what is returned is the outcome."""
Pause: TypeAlias = Generator[None, None, None]

CLOSING: Final = {b"[": b"]", b"{": b"}"}
"""What ends an array or an object, by what begins it."""

_STRINGS: Final = Decoder(str)


class Walk:
    """A walk over a body. A method that makes steps begins at `at`, and leaves `at` behind what it passes."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.at = 0
        self.steps = 0

    def _skip(self) -> Pause:
        """Pass a value."""
        closing: list[bytes] = []
        while True:
            yield
            byte = self._byte()
            if closer := CLOSING.get(byte):
                if len(closing) >= MAX_DEPTH:
                    raise InvalidRequestError("request body is nested too deeply")
                if self._open(closer):
                    closing.append(closer)
                    yield from self._enter(closer)
                    continue
            else:
                yield from self._scalar(byte)
            while closing and not self._goes_on(closing[-1]):
                closing.pop()
            if not closing:
                return
            yield from self._enter(closing[-1])

    def _enter(self, closer: bytes) -> Pause:
        """Come to the next value that is not passed at once."""
        if closer == b"]":
            yield from self._runs(find_items)
        else:
            yield from self._runs(find_members)
            yield from self._key()

    def _key(self) -> Generator[None, None, str]:
        if self._byte() != b'"':
            raise self._malformed()
        key = yield from self._string(MAX_KEY)
        self._space()
        if self._byte() != b":":
            raise self._malformed()
        self.at += 1
        self._space()
        return key

    def _scalar(self, byte: bytes) -> Pause:
        if byte == b'"':
            yield from self._string(0)
        elif found := find_scalar(self.body, self.at, self.at + WINDOW_BYTES):
            self.at = found.end()
        else:
            raise self._malformed()

    def _string(self, most: int) -> Generator[None, None, str]:
        """Pass a string; return as many of its characters."""
        body = self.body
        pieces: list[str] = []
        self.at += 1
        while True:
            self._step()
            end = self._text_end()
            if end == self.at:
                if self._byte() != b'"':
                    raise self._malformed()
                self.at += 1
                return "".join(pieces)
            if most > 0:
                piece = decode(b'"%b"' % bytes(body[self.at : end]), _STRINGS)[:most]
                pieces.append(piece)
                most -= len(piece)
            self.at = end
            yield

    def _text_end(self) -> int:
        """Return where the text from `at` ends, at most a window further, and not within a character."""
        found = find_text(self.body, self.at, self.at + WINDOW_BYTES)
        end = found.end() if found else self.at
        while end < len(self.body) and self.body[end] & 0xC0 == 0x80:  # noqa: PLR2004 - RFC 3629: goes on
            end -= 1
        return end

    def _runs(self, find: Find) -> Pause:
        while self._run(find):
            yield

    def _run(self, find: Find) -> bool:
        """Pass what a pattern finds within a window; say whether it found anything."""
        self._step()
        found = find(self.body, self.at, self.at + WINDOW_BYTES)
        if found:
            self.at = found.end()
        return found is not None

    def _open(self, closer: bytes) -> bool:
        """Pass an opening bracket; say whether something is inside, else pass the closing one."""
        self.at += 1
        self._space()
        empty = self._byte() == closer
        self.at += empty
        return not empty

    def _goes_on(self, closer: bytes) -> bool:
        """Pass a comma and say so, else the closing bracket."""
        self._space()
        byte = self._byte()
        if byte not in (b",", closer):
            raise self._malformed()
        self.at += 1
        if byte == b",":
            self._space()
        return byte == b","

    def _space(self) -> None:
        if found := find_space(self.body, self.at, self.at + MAX_SPACE):
            self.at = found.end()
            if found.end() - found.start() >= MAX_SPACE:
                raise InvalidRequestError("request body has too much white space in one place")

    def _byte(self) -> bytes:
        return bytes(self.body[self.at : self.at + 1])

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise InvalidRequestError("request body has too many values")

    def _malformed(self) -> InvalidRequestError:
        what = "input data was truncated" if self.at >= len(self.body) else f"JSON is malformed (byte {self.at})"
        return InvalidRequestError(f"request body is not valid JSON: {what}")
