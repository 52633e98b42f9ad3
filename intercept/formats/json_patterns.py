"""JSON (RFC 8259) by regular expressions that never look back (possessive quantifiers), on bytes. Pure.

What is nested more than five deep is found by none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, TypeAlias

Find: TypeAlias = Callable[[bytes | bytearray, int, int], re.Match[bytes] | None]
"""Matches at a position of a body, and looks at nothing from another one on."""

_SPACE = rb"[ \t\n\r]*+"
_PLAIN = rb'[^"\\\x00-\x1f]'
_ESCAPE = rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_STRING = rb'"' + _PLAIN + rb"*+(?:" + _ESCAPE + _PLAIN + rb'*+)*+"'
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+"
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)"
_COMMA = _SPACE + rb"," + _SPACE
_COLON = _SPACE + rb":" + _SPACE

_long: Final[list[Callable[[], object]]] = []


def compile_patterns() -> None:
    """Compile what takes 10 to 40 ms each, and is else compiled when it is first used: few requests need it."""
    for compiled in _long:
        compiled()


def _compiled_when_used(pattern: bytes) -> Find:
    @cache
    def match() -> Find:
        return re.compile(pattern).match

    def find(body: bytes | bytearray, begin: int, end: int) -> re.Match[bytes] | None:
        return match()(body, begin, end)

    _long.append(match)
    return find


def _nested(value: bytes) -> bytes:
    """Return the pattern of a value that may be an array or an object of such values."""
    items = value + _SPACE + rb"(?:," + _SPACE + rb"(?!\])|(?=\]))"
    members = _STRING + _COLON + value + _SPACE + rb"(?:," + _SPACE + rb"(?!\})|(?=\}))"
    return (
        rb"(?:" + _SCALAR + rb"|\[" + _SPACE + rb"(?:" + items + rb")*+\]|\{" + _SPACE + rb"(?:" + members + rb")*+\})"
    )


_VALUE: Final = _nested(_nested(_nested(_nested(_nested(_SCALAR)))))
_SHORT_ESCAPE = rb'\\(?:["\\/bfnrt]|u(?![dD][89abAB])[0-9a-fA-F]{4}'
# The first half of a pair is taken only where the window has what follows it.
_TEXT = rb"(?:" + _PLAIN + rb"++|" + _SHORT_ESCAPE + rb"|u[0-9a-fA-F]{4}(?=[^\\]|\\[^u]|\\u.{4})))*+"

find_space: Final[Find] = re.compile(_SPACE).match
"""White space, or none."""
find_scalar: Final[Find] = re.compile(_SCALAR).match
"""A string, a number, or one of the three words."""
find_text: Final[Find] = re.compile(_TEXT, re.DOTALL).match
"""The inside of a string, as far as it goes."""
find_items: Final[Find] = _compiled_when_used(rb"(?:" + _VALUE + _COMMA + rb"){1,64}+")
"""Items of an array, each with its comma."""
find_members: Final[Find] = _compiled_when_used(rb"(?:" + _STRING + _COLON + _VALUE + _COMMA + rb"){1,64}+")
"""Members of an object, each with its comma."""


def finding_others(names: Iterable[str]) -> Find:
    """Return what finds members as `find_members` does, except those whose key is one of the names or has an escape.

    The case of a name makes no difference.
    """
    either_s = "|".join(names).replace("s", "(?:s|\u017f)").encode()  # a long s is an s in another case
    key = rb'"(?!(?i:' + either_s + rb')")' + _PLAIN + rb'*+"'
    return _compiled_when_used(rb"(?:" + key + _COLON + _VALUE + _COMMA + rb"){1,64}+")
