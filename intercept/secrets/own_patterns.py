r"""Patterns of an operator's own: a small language that is linear in the text, whatever the text is.

A pattern is a sequence of letters and signs as they are, `.` for any character, `\d`, `\w` and `\s`, sets such as `[A-Z0-9_]`
and `\b` for the edge of a word. A repeat needs a bound: `{8}`, `{8,40}` or `?`. A sign with a meaning stands for itself behind
a backslash. There are no groups and no alternatives: those are several patterns. A repeat takes as much as it can and gives
nothing back, so nothing is tried twice at one place, and one match has at most `MAX_LENGTH` characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

MAX_PATTERN: Final = 200
"""Longest pattern, in characters."""

MAX_LENGTH: Final = 128
"""Longest match, in characters."""

STEP: Final = 2_048
"""Places of a text that are tried in one go, a millisecond or two; then other threads may run."""

_CHARACTER: Final = r"\\[dws.\[\](){}*+?|^$/\\-]"
_ELEMENT: Final = re.compile(
    rf"(?P<edge>\\b)|(?P<one>{_CHARACTER}|\[\^?(?:[^\[\]\\]|{_CHARACTER})+\]|[^\\\[\](){{}}*+?|^$])"
    r"(?:\{(?P<low>[0-9]{1,3})(?:,(?P<high>[0-9]{1,3}))?\}|(?P<maybe>\?))?",
    re.DOTALL,
)
_ALLOWED: Final = (
    r"allowed are characters, sets such as [A-Z0-9], ., \d, \w, \s and \b, the repeats {8}, {8,40} and ?,"
    r" and signs behind a backslash"
)
_REMEMBERED: Final = 1_000


class InvalidPatternError(ValueError):
    """It is no pattern of this language. The text says what is wrong."""


class OwnPattern:
    """A pattern that can be looked for.

    Raises:
        InvalidPatternError: It is none.
    """

    def __init__(self, text: str) -> None:
        if not 0 < len(text) <= MAX_PATTERN:
            raise InvalidPatternError(f"must have 1 to {MAX_PATTERN} characters")
        parts = list(_parts(text))
        if sum(low for _, low, _ in parts) < 1:
            raise InvalidPatternError("must not match an empty text")
        if sum(high for _, _, high in parts) > MAX_LENGTH:
            raise InvalidPatternError(f"must match at most {MAX_LENGTH} characters in all")
        try:
            self._compiled = re.compile("".join(part for part, _, _ in parts), re.DOTALL)
        except re.error as error:
            raise InvalidPatternError(f"has a set that cannot be read: {error.msg}") from None

    def replace(self, text: str, replacement: str) -> str:
        """Replace every match, each as early as possible."""
        kept: list[str] = []
        done = at = 0
        while at < len(text):
            found = self._compiled.search(text, at, at + STEP + MAX_LENGTH + 1)
            if found is None or found.start() >= at + STEP:
                at += STEP
                continue
            kept += text[done : found.start()], replacement
            done = at = found.end()
        return "".join((*kept, text[done:])) if kept else text


@lru_cache(_REMEMBERED)
def own_pattern(text: str) -> OwnPattern:
    """Make an `OwnPattern`, once."""
    return OwnPattern(text)


def _parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Each element as a possessive expression of Python's, with how many characters it takes: at least and at most."""
    at = 0
    while at < len(text):
        found = _ELEMENT.match(text, at)
        if found is None:
            raise InvalidPatternError(f"cannot be read from {text[at:][:20]!r} on; {_ALLOWED}")
        at = found.end()
        if found["edge"]:
            yield r"\b", 0, 0
            continue
        one = found["one"]
        if one.startswith("["):
            one = re.sub(r"([&~|])\1", r"\\\1\\\1", one)  # a doubled sign may become an operation on sets
        elif not one.startswith("\\") and one != ".":
            one = re.escape(one)
        low = 0 if found["maybe"] else int(found["low"] or 1)
        high = 1 if found["maybe"] else int(found["high"] or low)
        if high < max(low, 1):
            raise InvalidPatternError(f"has a repeat that can never be: {found[0]}")
        yield one if low == high == 1 else f"{one}{{{low},{high}}}+", low, high
