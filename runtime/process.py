"""What all parts of a bridge share: the clock, ids, the settings, the database, and where background jobs start."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time_ns
from typing import Protocol, Self, TypeVar
from uuid import UUID

from handlers.lifecycle import Lifecycle
from handlers.monitoring.metrics import FOLDER_VARIABLE, Metrics
from runtime.authority import WorkerAuthority
from runtime.jobs import Jobs
from settings import LimitsScope, Settings
from storage.mongo.database import Database


def now() -> datetime:
    """The wall clock in UTC, in the whole milliseconds that MongoDB keeps."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


class Closing(Protocol):
    """What is to be closed."""

    async def close(self) -> None:
        """Close it."""


Part = TypeVar("Part", bound=Closing)


@dataclass(frozen=True)
class Process:
    """What all parts of a bridge share. `id` is that of the instance; `stack` closes what was opened, the last first."""

    settings: Settings
    database: Database
    stack: AsyncExitStack
    id: UUID
    new_id: Callable[[], UUID]
    metrics: Metrics
    lifecycle: Lifecycle
    jobs: Jobs
    workers: WorkerAuthority | None = None

    @classmethod
    def begin(
        cls, settings: Settings, database: Database, stack: AsyncExitStack, workers: WorkerAuthority | None = None
    ) -> Self:
        """Create a process; nothing runs yet."""
        if settings.limits_scope is LimitsScope.PROCESS:
            workers = None
        metrics = Metrics(Path(os.environ[FOLDER_VARIABLE]) if settings.workers > 1 else None)
        jobs = Jobs(clock=monotonic, on_failure=metrics.job_failed)
        metrics.watch_jobs(jobs)
        return cls(settings, database, stack, time_ordered_id(), time_ordered_id, metrics, Lifecycle(), jobs, workers)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a background job."""
        self.stack.push_async_callback(self.jobs.start(name, run).stop)

    def closing(self, part: Part) -> Part:
        """Close a part with the process, what was opened last first; return it."""
        self.stack.push_async_callback(part.close)
        return part

    @property
    def spool_folder(self) -> Path:
        """Where the spools are in its data-dir."""
        return self.settings.data_dir / "spool"


_MILLISECOND_NS = 1_000_000
_RANDOM_BYTES = 10
_RANDOM, _VERSION_7 = 0x0FFF_3FFF_FFFF_FFFF_FFFF, 0x7000_8000_0000_0000_0000


def time_ordered_id(now_ns: Callable[[], int] = time_ns) -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7).

    Documents that are stored one after another then have neighbouring ids: a new one goes to the end of an index, which is in
    memory, instead of to any page of it. 74 bits of each are random, those within a millisecond are in no order.

    Args:
        now_ns: The time, in nanoseconds since 1970.
    """
    random = int.from_bytes(os.urandom(_RANDOM_BYTES)) & _RANDOM
    return UUID(int=now_ns() // _MILLISECOND_NS << 8 * _RANDOM_BYTES | random | _VERSION_7)
