"""The arguments of a function call that come piece by piece, each with its place, put together as one JSON object.

Source: Vertex AI, "Function calling", streamed arguments: `partialArgs` with a JSON path (RFC 9535) and a value.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from intercept.dialects.drafts import MAX_TOOL_INPUT

MAX_PLACES: Final = 1024
"""Values of one call that are kept."""
MAX_PLACE_DEPTH: Final = 16
"""How deeply a value may be nested."""

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_MAX_PATH: Final = 1024

Place = tuple[str | int, ...]


class PartialArgument(Struct, rename="camel"):
    """A piece of the arguments; without a value it is null. A text goes on with each piece that has its place."""

    json_path: str | None = None
    string_value: str | None = None
    number_value: Raw = Raw()
    bool_value: bool | None = None


class StreamedArguments:
    """Arguments under way, bounded in places and characters."""

    def __init__(self) -> None:
        self.truncated = False
        self._values: dict[Place, Any] = {}
        self._room = MAX_TOOL_INPUT

    def add(self, piece: PartialArgument) -> None:
        """Take a piece. One without a place that can be read is left out."""
        place = _place(piece.json_path or "")
        if place is None or (place not in self._values and len(self._values) >= MAX_PLACES):
            self.truncated = True
        elif piece.string_value is not None:
            self._add_text(place, piece.string_value)
        elif piece.number_value:
            number = bytes(piece.number_value)
            self._values[place] = Raw(number) if self._kept(number.decode()) == number.decode() else None
        else:
            self._values[place] = piece.bool_value

    def _add_text(self, place: Place, text: str) -> None:
        texts = self._values.get(place)
        if not isinstance(texts, list):
            texts = self._values[place] = []
        if kept := self._kept(text):
            texts.append(kept)

    def text(self) -> str:
        """Return what there is so far, as a JSON object."""
        root: dict[str | int, Any] = {}
        for place, value in self._values.items():
            node = root
            for step in place[:-1]:
                inner = node.setdefault(step, {})
                node = inner if isinstance(inner, dict) else {}
            node[place[-1]] = "".join(value) if isinstance(value, list) else value
        return msgspec.json.encode(_plain(root)).decode()

    def _kept(self, text: str) -> str:
        kept = text[: self._room]
        self.truncated = self.truncated or len(kept) < len(text)
        self._room -= len(kept)
        return kept


def _place(path: str) -> Place | None:
    """Read a path from the root; None where it is no such path."""
    if not path.startswith("$") or len(path) > _MAX_PATH:
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(path) and (found := _STEP.match(path, at)):
        name, index, *quoted = found.groups()
        steps.append(int(index) if index else name or next((text for text in quoted if text is not None), ""))
        at = found.end()
    return tuple(steps) if at == len(path) and 0 < len(steps) <= MAX_PLACE_DEPTH else None


def _plain(node: Any) -> Any:
    """An object as it is, and one whose names are all numbers as the array that they make."""
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(name, int) for name in node):
        return [_plain(node[index]) for index in sorted(node)]
    return {str(name): _plain(value) for name, value in node.items()}
