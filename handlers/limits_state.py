"""Whether limits that several processes have together hold at the moment."""

from __future__ import annotations

from typing import Protocol

from limits.authority import Authority
from resources.limits import NO_SUPERVISOR, PROCESS_LOCAL, LimitsScope, LimitsState


class Workers(Protocol):
    """The other workers of this server, where limits are counted for all of them together."""

    @property
    def unavailable(self) -> bool:
        """Whether the supervisor, which counts, does not answer."""

    async def reports(self) -> list[bytes]:
        """What the others say of themselves, as JSON; nothing while the supervisor does not answer."""


def scope_of_limits(cluster: Authority | None, workers: Workers | None) -> LimitsScope:
    """Whose requests are counted together."""
    if cluster is not None:
        return "cluster"
    return "process" if workers is None else "server"


def state_of_limits(cluster: Authority | None, workers: Workers | None) -> LimitsState:
    """Whether the limits hold as they were set, or this process decides alone."""
    if cluster is not None and cluster.unavailable:
        return PROCESS_LOCAL
    if workers is not None and workers.unavailable:
        return NO_SUPERVISOR
    return "ok"
