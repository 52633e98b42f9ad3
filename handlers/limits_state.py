"""Whether limits that several processes have together hold at the moment."""

from __future__ import annotations

from typing import Literal

from limits.authority import Authority
from resources.limits import PROCESS_LOCAL


def state_of_limits(cluster: Authority | None) -> Literal["ok", "process-local: the database is unavailable"]:
    """Whether the limits hold as they were set, or this server decides alone."""
    return PROCESS_LOCAL if cluster is not None and cluster.unavailable else "ok"
