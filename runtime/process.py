"""What all parts of a bridge share: the clock, the settings, the database, and where background jobs start."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time_ns
from typing import Self
from uuid import UUID

from handlers.lifecycle import Lifecycle
from handlers.operation.metrics import FOLDER_VARIABLE, Metrics
from runtime.authority import WorkerAuthority
from runtime.ids import time_ordered_ids
from runtime.jobs import Jobs
from settings import LimitsScope, Settings
from storage.mongo.database import Database


def now() -> datetime:
    """The wall clock in UTC, in the whole milliseconds that MongoDB keeps."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


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
        new_id = time_ordered_ids().__next__
        metrics = Metrics(Path(os.environ[FOLDER_VARIABLE]) if settings.workers > 1 else None)
        jobs = Jobs(clock=monotonic, on_failure=metrics.job_failed)
        metrics.watch_jobs(jobs)
        return cls(settings, database, stack, new_id(), new_id, metrics, Lifecycle(now()), jobs, workers)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a background job."""
        self.stack.push_async_callback(self.jobs.start(name, run).stop)

    @property
    def spool_folder(self) -> Path:
        """Where the spools are in its data-dir."""
        return self.settings.data_dir / "spool"
