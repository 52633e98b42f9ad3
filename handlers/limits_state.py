"""Whether limits that several processes have together hold at the moment."""

from __future__ import annotations

from typing import Protocol

from limits.authority import Authority
from resources.limits import LimitsScope, LimitsState


class Workers(Protocol):
    """The other workers of this server, where the supervisor counts limits for all of them together."""

    @property
    def scope(self) -> LimitsScope:
        """Whether the supervisor counts for this server, or together with those of a cluster."""

    @property
    def unavailable(self) -> bool:
        """Whether the supervisor does not answer, so that nothing is admitted."""

    @property
    def database_unavailable(self) -> bool:
        """Whether the supervisor counts for this server alone, as it cannot reach the database of the cluster."""


def scope_of_limits(cluster: Authority | None, workers: Workers | None) -> LimitsScope:
    """Whose requests are counted together."""
    if cluster is not None:
        return "cluster"
    return "process" if workers is None else workers.scope


def state_of_limits(cluster: Authority | None, workers: Workers | None) -> LimitsState:
    """Whether the limits hold as they were set, or this process or server decides alone."""
    if cluster is not None and cluster.unavailable:
        return LimitsState.PROCESS_LOCAL
    if workers is not None and workers.unavailable:
        return LimitsState.NO_SUPERVISOR
    if workers is not None and workers.database_unavailable:
        return LimitsState.SERVER_LOCAL
    return LimitsState.OK
