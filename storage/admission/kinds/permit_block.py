"""Permits of a rate that were granted to a server together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Uses:
    """Permits that were used at about the same time."""

    until: int
    count: int = 0
    at: int = 0


@dataclass(slots=True, eq=False)
class PermitBlock:
    """Permits with one entry in the ledger. They may be used until `expires_at`, by this server's clock."""

    left: int
    at: int
    clock: str
    expires_at: int
    prefetched: bool
    uses: list[Uses] = field(default_factory=list)

    def use(self, now: int, part_ns: int) -> None:
        """Use one permit. Permits used within `part_ns` count as used together, at the last of their times."""
        self.left -= 1
        if not self.prefetched:
            return  # it has its final entry already
        if not self.uses or now >= self.uses[-1].until:
            self.uses.append(Uses(now + part_ns))
        self.uses[-1].count += 1
        self.uses[-1].at = now
