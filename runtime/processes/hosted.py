"""What decides about limits in a supervisor: for the workers of a server alone, or as one server of a cluster."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import msgspec

from handlers.api.limits import merge_reports
from limits.authority import LocalAuthority
from runtime.authority import ServerAuthority
from runtime.factories.limits import make_cluster
from runtime.ids import time_ordered_ids
from runtime.jobs import Jobs
from runtime.processes.server import SWITCH_SECONDS
from runtime.storage import make_membership
from settings import Settings
from storage.mongo.database import Database


async def open_server_authority(settings: Settings, database: Database, stack: AsyncExitStack) -> ServerAuthority:
    """Open what decides for all workers; the stack closes it, after them.

    With scope `cluster` it reports to the other servers until then.
    """
    membership = make_membership(settings, database, next(time_ordered_ids()), is_server=True)
    cluster = make_cluster(settings, database, membership)
    if cluster is None:
        return ServerAuthority(LocalAuthority())
    authority = ServerAuthority(cluster, lambda: [msgspec.json.encode(one) for one in cluster.reports()])

    def report() -> dict[str, Any]:
        return merge_reports([msgspec.json.decode(one) for one in authority.reports()])

    sys.setswitchinterval(SWITCH_SECONDS)  # the driver computes in threads, and workers wait for this one
    cluster.open(report, authority.send_state)
    stack.push_async_callback(membership.close)
    stack.push_async_callback(cluster.close)
    await membership.open()
    stack.push_async_callback(Jobs(clock=monotonic).start("heartbeat", membership.run).stop)
    return authority
