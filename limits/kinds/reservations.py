"""What requests under way reserve, by key."""

from __future__ import annotations

from limits.limit import Limit


class Reservations:
    """The part of a counter that holds back for requests what they may use, until it is known what they used."""

    def __init__(self) -> None:
        self._reserved: dict[str, int] = {}

    def start(self, limit: Limit, reserve: int, _now: int) -> None:
        """Reserve for a request."""
        self.reserve(limit, reserve)

    def end(self, limit: Limit, reserved: int) -> None:
        """Give a reservation back. What was charged stays."""
        self.reserve(limit, -reserved)

    def reserve(self, limit: Limit, change: int) -> None:
        """Reserve more, or less."""
        if change:
            reserved = self._reserved.get(limit.key, 0) + change
            if reserved:
                self._reserved[limit.key] = reserved
            else:
                del self._reserved[limit.key]
