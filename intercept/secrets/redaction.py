"""Redaction: takes credentials, cards, mail addresses and what an operator's own patterns find out of a text. Pure.

What is found has its form, not its meaning, so some of it is left and some is taken that is none. The work is linear in the
length of the text; more than `MAX_TEXT` of it is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from intercept.secrets.own_patterns import own_pattern
from intercept.secrets.scrub import scrub

REDACTED: Final = "[redacted]"

MAX_TEXT: Final = 128 * 1024
"""Characters of a text that are looked at; the rest is not kept."""

# ISO/IEC 7812: 15 or 16 digits in their groups. Other digits may stand beside them: a date before, or an expiry after.
_GROUPED_CARD: Final = re.compile(
    r"(?<![0-9])(?:[2-6][0-9]{3}(?:[ -]?[0-9]{4}){3}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5})(?![0-9])"
)
# 12 to 19 digits, in one or with a blank or a hyphen between any two, where no other digits stand beside them.
_CARD: Final = re.compile(r"(?<![0-9])[2-6][0-9](?:[ -]?[0-9]){10,17}+(?![0-9])")
# The sum of the digits of twice each digit.
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
# RFC 5321, without quoted names. Each part is bounded, and taken once.
_MAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@[A-Za-z0-9-]{1,63}+(?:\.(?P<last>[A-Za-z0-9-]{1,63}+)){1,8}+"
)


def redact(text: str, patterns: Sequence[str] = ()) -> str:
    """Return the text without what is to be redacted. The caller has cut it to `MAX_TEXT` characters.

    The patterns are further ones to look for, of the language of `intercept.secrets.own_patterns`.

    Raises:
        InvalidPatternError: One of the patterns is none.
    """
    for pattern in patterns:  # first, so that they see the text as it was written
        text = own_pattern(pattern).replace(text, REDACTED)
    text = scrub(text)
    text = _CARD.sub(_card, _without_grouped_cards(text))
    return _MAIL.sub(_mail, text) if "@" in text else text


def _mail(match: re.Match[str]) -> str:
    top_level = match["last"][:2]
    return REDACTED if len(top_level) > 1 and top_level.isalpha() else match[0]


def _without_grouped_cards(text: str) -> str:
    kept: list[str] = []
    done = at = 0
    while found := _GROUPED_CARD.search(text, at):
        at = found.start() + 1  # the first group may be no part of the card
        if _is_card(found[0]):
            kept += text[done : found.start()], REDACTED
            done = at = found.end()
    return "".join((*kept, text[done:])) if kept else text


def _card(match: re.Match[str]) -> str:
    return REDACTED if _is_card(match[0]) else match[0]


def _is_card(text: str) -> bool:
    """Check the last digit, by Luhn's formula (ISO/IEC 7812-1, annex B)."""
    digits = text.replace(" ", "").replace("-", "")
    return sum(map(int, digits[-1::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0
