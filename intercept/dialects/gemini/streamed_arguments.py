"""The arguments of a function call that come piece by piece, each with its path, assembled into one JSON object.

Source: Vertex AI, "Function calling", streamed arguments: `partialArgs` with a JSON path (RFC 9535) and a value.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from intercept.dialects.drafts import MAX_TOOL_INPUT

MAX_VALUES: Final = 1024
"""Values of one call that are kept."""
MAX_DEPTH: Final = 16
"""How deeply a value may be nested."""

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_MAX_PATH: Final = 1024

Path = tuple[str | int, ...]


class PartialArgument(Struct, rename="camel"):
    """A piece of the arguments; without a value it is null. A text continues with each piece of the same path."""

    json_path: str | None = None
    string_value: str | None = None
    number_value: Raw = Raw()
    bool_value: bool | None = None


class StreamedArguments:
    """Arguments being assembled, bounded in paths and characters."""

    def __init__(self) -> None:
        self.truncated = False
        self._values: dict[Path, Any] = {}
        self._room = MAX_TOOL_INPUT

    def add(self, piece: PartialArgument) -> None:
        """Add a piece. One without a valid path is left out."""
        path = _parse_path(piece.json_path or "")
        if path is None or (path not in self._values and len(self._values) >= MAX_VALUES):
            self.truncated = True
        elif piece.string_value is not None:
            self._add_text(path, piece.string_value)
        elif piece.number_value:
            number = bytes(piece.number_value).decode("utf-8", "replace")
            self._values[path] = Raw(number) if self._cut_to_room(number) == number else None
        else:
            self._values[path] = piece.bool_value

    def _add_text(self, path: Path, text: str) -> None:
        texts = self._values.get(path)
        if not isinstance(texts, list):
            texts = self._values[path] = []
        if part := self._cut_to_room(text):
            texts.append(part)

    def text(self) -> str:
        """Return the arguments so far, as a JSON object."""
        root: dict[str | int, Any] = {}
        for path, value in self._values.items():
            node = root
            for step in path[:-1]:
                inner = node.setdefault(step, {})
                node = inner if isinstance(inner, dict) else {}
            node[path[-1]] = "".join(value) if isinstance(value, list) else value
        return msgspec.json.encode(_plain(root)).decode()

    def _cut_to_room(self, text: str) -> str:
        part = text[: self._room]
        self.truncated = self.truncated or len(part) < len(text)
        self._room -= len(part)
        return part


def _parse_path(path: str) -> Path | None:
    """Parse a path from the root; None for anything else."""
    if not path.startswith("$") or len(path) > _MAX_PATH:
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(path) and (found := _STEP.match(path, at)):
        name, index, *quoted = found.groups()
        steps.append(int(index) if index else name or next((text for text in quoted if text is not None), ""))
        at = found.end()
    return tuple(steps) if at == len(path) and 0 < len(steps) <= MAX_DEPTH else None


def _plain(node: Any) -> Any:
    """An object as it is, and one whose names are all numbers as the array that they make."""
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(name, int) for name in node):
        return [_plain(node[index]) for index in sorted(node)]
    return {str(name): _plain(value) for name, value in node.items()}
