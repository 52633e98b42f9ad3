"""What a server of a cluster may admit alone: its share of a limit, from the time when the others leave it that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class Share(NamedTuple):
    """One of `servers` shares that together are the limit. The first ones, by `rank` from 0, get the remainder."""

    servers: int = 1
    rank: int = 0

    def of(self, maximum: int) -> int:
        """The share of a limit with this maximum."""
        return max(0, (maximum + self.servers - 1 - self.rank) // self.servers)


class Alone(NamedTuple):
    """How a server decides alone.

    Attributes:
        shares: Its share, as the others know it now or soon. The smallest of these counts.
        since: When the others begin to leave it its share, by its own clock. Until then they may use up every limit.
    """

    shares: tuple[Share, ...] = (Share(),)
    since: int = 0

    @property
    def servers(self) -> int:
        """The number of servers that share the limits."""
        return max(share.servers for share in self.shares)

    def share_of(self, maximum: int) -> int:
        """How much it may admit of a limit with this maximum."""
        return min(share.of(maximum) for share in self.shares)


Absent: TypeAlias = Mapping[str, Share]
"""The servers that may be deciding alone, each with its share. The others leave them that."""


def left_to(absent: Absent, maximum: int) -> int:
    """How much of a limit the others leave to servers that may be deciding alone."""
    return sum([share.of(maximum) for share in absent.values()])
