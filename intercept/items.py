"""The conversation in a request: its messages, or input items, each decoded at most once."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from intercept.formats.json_text import read_object

MAX_SKIPPED_ITEMS: Final = 8
"""Items of the client program at the end of a conversation that are skipped to find its last message."""

_OF_THE_PROGRAM: Final = ("system", "developer")


class Items:
    """Decodes items when they are looked at, and keeps what was decoded. An item that is no object is an empty one.

    Args:
        raw: The items as they are written.
    """

    def __init__(self, raw: list[Raw]) -> None:
        self._raw = raw
        self._decoded: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, at: int) -> dict[str, Any]:
        """Return the item at an index from 0 on."""
        item = self._decoded.get(at)
        if item is None:
            item = self._decoded[at] = read_object(self._raw[at])
        return item

    def last_message(self) -> dict[str, Any]:
        """Return the last item that is not the client program's own; an empty object if there is none.

        Claude Code 2.1 sends a `system` message behind what its user wrote.
        """
        end = len(self)
        for at in range(end - 1, max(-1, end - 2 - MAX_SKIPPED_ITEMS), -1):
            item = self[at]
            if item.get("role") not in _OF_THE_PROGRAM:
                return item
        return {}
