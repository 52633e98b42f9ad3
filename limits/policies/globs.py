"""A pattern in which `*` matches any text."""

from __future__ import annotations

from typing import Final

ANY_TEXT: Final = "*"
"""The pattern that means every text. Those that match it do, too."""


class Glob:
    """A pattern: `*` matches any text, and case makes no difference.

    Time is bounded by the length of the text times that of the pattern, whatever is in them.
    """

    __slots__ = ("_head", "_inner", "_least", "_tail")

    def __init__(self, pattern: str) -> None:
        head, *rest = pattern.lower().split("*")
        self._head = head
        self._tail = rest.pop() if rest else None
        self._inner = [part for part in rest if part]
        self._least = len(head) + len(self._tail or "")

    def match(self, text: str) -> bool:
        """Whether all of a text in lower case is meant. Of the text of another pattern: whether all that it means is."""
        if self._tail is None:
            return text == self._head
        if len(text) < self._least or not (text.startswith(self._head) and text.endswith(self._tail)):
            return False
        at, end = len(self._head), len(text) - len(self._tail)
        for part in self._inner:  # each as early as possible leaves most for those that follow
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True
