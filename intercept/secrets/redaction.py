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

# ISO/IEC 7812: 12 to 19 digits, as people write them: in one, or in groups with a blank or a hyphen between two digits.
_CARD: Final = re.compile(r"(?<![0-9])[2-6][0-9](?:[ -]?[0-9]){10,17}+(?![0-9])")
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
    text = _CARD.sub(_card, text)
    return _MAIL.sub(_mail, text) if "@" in text else text


def _mail(match: re.Match[str]) -> str:
    top_level = match["last"][:2]
    return REDACTED if len(top_level) > 1 and top_level.isalpha() else match[0]


def _card(match: re.Match[str]) -> str:
    return REDACTED if _is_card([int(sign) for sign in match[0] if sign.isdigit()]) else match[0]


def _is_card(digits: Sequence[int]) -> bool:
    """Check the last digit, by Luhn's formula (ISO/IEC 7812-1, annex B)."""
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])  # noqa: PLR2004
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
