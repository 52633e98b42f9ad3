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

_SIGNS: Final = "\\.[](){}*+?|^$/-"
_CLASSES: Final = "dws"
_BOUND: Final = re.compile(r"\{([0-9]{1,3})(?:,([0-9]{1,3}))?\}")
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
        least = sum(low for _, low, _ in parts)
        if least < 1:
            raise InvalidPatternError("must not match an empty text")
        if sum(high for _, _, high in parts) > MAX_LENGTH:
            raise InvalidPatternError(f"must match at most {MAX_LENGTH} characters in all")
        self._compiled = re.compile("".join(_quantified(*part) for part in parts), re.DOTALL)

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
    """Each element as a regular expression, with how often it comes: at least and at most."""
    at = 0
    while at < len(text):
        if text.startswith(r"\b", at):
            yield r"\b", 0, 0
            at += 2
            continue
        element, at = _element(text, at)
        low, high, at = _repeat(text, at)
        yield element, low, high


def _element(text: str, at: int) -> tuple[str, int]:
    sign = text[at]
    if sign == "\\":
        escaped = text[at + 1 : at + 2]
        if not escaped or escaped not in _SIGNS + _CLASSES:
            raise InvalidPatternError(rf"has an unknown escape \{escaped}; allowed are \d, \w, \s, \b and signs")
        return text[at : at + 2], at + 2
    if sign == "[":
        return _set(text, at)
    if sign == ".":
        return ".", at + 1
    if sign in "*+":
        raise InvalidPatternError(f"has a repeat without a bound, {sign}: say how often, as in {{1,40}}")
    if sign in "](){}?|^$":
        raise InvalidPatternError(f"has {sign}, which is not allowed here; for the sign itself write \\{sign}")
    return re.escape(sign), at + 1


def _set(text: str, at: int) -> tuple[str, int]:
    end = at + 1
    while end < len(text) and text[end] != "]":
        end += 2 if text[end] == "\\" else 1
    inner = text[at + 1 : end]
    if end >= len(text) or not inner or "[" in inner.replace("\\[", ""):
        raise InvalidPatternError("has a set that is empty, or that does not end: [A-Z0-9_]")
    for escaped in re.findall(r"\\(.)", inner, re.DOTALL):
        if escaped not in _SIGNS + _CLASSES:
            raise InvalidPatternError(rf"has an unknown escape \{escaped} in a set")
    made = re.sub(r"([&~|])\1", r"\\\1\\\1", f"[{inner}]")
    try:
        re.compile(made)
    except re.error as error:
        raise InvalidPatternError(f"has a set that cannot be read: {error.msg}") from None
    return made, end + 1


def _repeat(text: str, at: int) -> tuple[int, int, int]:
    if text.startswith("?", at):
        return 0, 1, at + 1
    if not text.startswith("{", at):
        return 1, 1, at
    bound = _BOUND.match(text, at)
    if bound is None:
        raise InvalidPatternError("has a repeat that cannot be read: {8} or {8,40}")
    low = int(bound[1])
    high = low if bound[2] is None else int(bound[2])
    if high < max(low, 1):
        raise InvalidPatternError(f"has the repeat {bound[0]}, which can never be")
    return low, high, bound.end()


def _quantified(element: str, low: int, high: int) -> str:
    if (low, high) == (0, 0):
        return element  # the edge of a word
    return element if low == high == 1 else f"{element}{{{low},{high}}}+"
