"""What messages of errors have in common: the message without what differs from one to the next. Pure."""

from __future__ import annotations

import re
from typing import Final

MAX_READ: Final = 500
"""Characters of a message that are read."""

MAX_TEMPLATE: Final = 200
"""Maximum characters of a template; a longer one ends with an ellipsis."""

_ANY, _NUMBER, _MORE = "*", "#", "\u2026"
_QUOTED = re.compile(r"\"[^\"`]*\"|`[^\"`]*`|\u201c[^\"\u201d]*\u201d|(?<!\w)'[^\"']*'(?!\w)")
_WORD = re.compile(r"\w(?:[\w.,:/-]*\w)?")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_MIN_ID = 6


def template_of(message: str) -> str:
    """Return a message with `*` for quoted parts, ids and names with digits, and `#` for numbers.

    Equal ones come of the same cause; one of a template is the template itself. It takes time in proportion to the message.
    """
    text, before = " ".join(message[:MAX_READ].split()), ""
    while text != before:  # what is left out may leave a pair of quotes
        text, before = _without_differences(text), text
    return text


def _without_differences(text: str) -> str:
    text = _QUOTED.sub(_ANY, text)
    text = _WORD.sub(_plain, text)
    if len(text) <= MAX_TEMPLATE:
        return text
    return text[: MAX_TEMPLATE - len(_MORE)].rstrip() + _MORE


def _plain(match: re.Match[str]) -> str:
    word = match[0]
    has_digits = any(character.isdigit() for character in word)
    has_letters = any(character.isalpha() for character in word)
    if has_digits and has_letters and len(word) >= _MIN_ID:
        return _ANY
    return _DIGITS.sub(_NUMBER, word) if has_digits else word
