"""Splits a search into words, without interpreting them. Pure.

Words are separated by spaces. `key:value` has a key; several values are separated by commas; `-` in front asks for what is not
so. Double quotes hide spaces, colons and commas.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msgspec import Struct

MAX_VALUES = 50
"""Most values of one key."""

MAX_WORDS = 100
"""Most words of a search."""

# A word is quoted pieces and plain pieces, in any order, without a space between them.
_WORD = re.compile(r'(?:"[^"]*"|[^" ])+')
_PIECE = re.compile(r'"([^"]*)"|([^":,]+)|(:)|(,)')


class SearchProblem(NamedTuple):
    """An error in a search, and its key; `q` means the whole search."""

    field: str
    detail: str


class InvalidSearchError(ValueError):
    """The search has no meaning. `validations` has everything that is wrong with it."""

    def __init__(self, validations: list[SearchProblem]) -> None:
        super().__init__("; ".join(validation.detail for validation in validations))
        self.validations = validations


class Word(Struct, frozen=True):
    """A word of a search.

    Attributes:
        key: In lower case; empty for a bare word.
        values: What stands behind the key, without quotes. A bare word has one value, whatever commas it has.
        negated: Whether there is a `-` in front.
    """

    key: str
    values: tuple[str, ...]
    negated: bool = False

    @property
    def text(self) -> str:
        """All values, as written, without quotes."""
        return ",".join(self.values)


def read_words(q: str, problems: list[SearchProblem]) -> list[Word]:
    """Read the words of a search; errors are added to the problems."""
    if q.count('"') % 2:
        problems.append(SearchProblem("q", "A double quote is not closed"))
        return []
    texts = _WORD.findall(q)
    if len(texts) > MAX_WORDS:
        problems.append(SearchProblem("q", f"A search has at most {MAX_WORDS} words, found {len(texts)}"))
        return []
    return [word for text in texts if (word := _word(text, problems)) is not None]


def _word(text: str, problems: list[SearchProblem]) -> Word | None:
    negated = text.startswith("-") and len(text) > 1
    match _split(text[negated:]):
        case [parts]:
            return Word("", (",".join(parts),), negated)
        case [key_parts, values] if any(key_parts) and any(values):
            key = ",".join(key_parts).lower()
            if not all(values):
                problems.append(SearchProblem(key, f"Query element {text} has an empty value beside a ','"))
            elif len(values) > MAX_VALUES:
                problems.append(SearchProblem(key, f'Query param "{key}" has more than {MAX_VALUES} values'))
            else:
                return Word(key, tuple(dict.fromkeys(values)), negated)
        case parts if not any(parts[0]) or not any(parts[-1]):
            problems.append(SearchProblem("q", f"Query element {text} cannot start or end with ':'"))
        case _:
            problems.append(SearchProblem("q", f"Query element {text} can only contain 1 ':'; quote its value"))
    return None


def _split(word: str) -> list[list[str]]:
    """Split a word at the colons outside its quotes, which are dropped, and each part at the commas outside them."""
    parts = [[""]]
    for quoted, plain, colon, comma in _PIECE.findall(word):
        if colon:
            parts.append([""])
        elif comma:
            parts[-1].append("")
        else:
            parts[-1][-1] += quoted or plain
    return parts
