"""Permits of a rate that were granted to a server together. Pure."""

from __future__ import annotations


class Uses:
    """Permits that were used at about the same time."""

    __slots__ = ("at", "count", "until")

    def __init__(self, until: int) -> None:
        self.count = self.at = 0
        self.until = until


class PermitBlock:
    """Permits with one entry in the ledger. They may be used until `expires_at`, by this server's clock."""

    __slots__ = ("at", "clock", "expires_at", "left", "prefetched", "uses")

    def __init__(self, left: int, at: int, clock: str, expires_at: int, *, prefetched: bool) -> None:
        self.left = left
        self.at = at
        self.clock = clock
        self.expires_at = expires_at
        self.prefetched = prefetched
        self.uses: list[Uses] = []

    def use(self, now: int, part_ns: int) -> None:
        """Use one permit. Permits used within `part_ns` count as used together, at the last of their times."""
        self.left -= 1
        if not self.prefetched:
            return  # it has its final entry already
        if not self.uses or now >= self.uses[-1].until:
            self.uses.append(Uses(now + part_ns))
        self.uses[-1].count += 1
        self.uses[-1].at = now
