"""Decisions of a supervisor for a worker, as two processes: what `benchmarks.admissions` measures where there are workers."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from limits.limiter import Limiter
from runtime.authority import SupervisorLink, WorkerAuthority, WorkerLink
from runtime.processes.hosted import open_server_authority
from settings import LimitsScope, Settings
from storage.mongo.database import Database


@asynccontextmanager
async def server_authority(mongodb_uri: str = "") -> AsyncIterator[WorkerAuthority]:
    """What a worker asks, while another process decides: for this server, or as one of a cluster on a database."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.server_scope", mongodb_uri),
            stdin=theirs.fileno(),
            stdout=asyncio.subprocess.PIPE,
        )
    assert process.stdout is not None
    await process.stdout.readline()  # it has started
    _, link = await asyncio.get_running_loop().create_unix_connection(
        lambda: WorkerLink(Limiter(), on_lost=lambda: None), sock=ours
    )
    link.serve()
    try:
        yield link.authority
    finally:
        link.close()
        await process.wait()


async def supervise(mongodb_uri: str) -> None:
    """Decide for whoever is at the other end of standard input, until that ends."""
    ended = asyncio.Event()
    scope = LimitsScope.CLUSTER if mongodb_uri else LimitsScope.SERVER

    class Link(SupervisorLink):
        def close(self) -> None:
            super().close()
            ended.set()

    async with AsyncExitStack() as stack:
        database = Database.connect(mongodb_uri or "mongodb://localhost", "benchmark")
        stack.callback(database.close)
        settings = Settings(limits_scope=scope, data_dir=Path(stack.enter_context(TemporaryDirectory())))
        authority = await open_server_authority(settings, database, stack)
        await asyncio.get_running_loop().create_unix_connection(lambda: Link(authority), sock=socket.socket(fileno=0))
        print("started", flush=True)
        await ended.wait()


if __name__ == "__main__":
    from runtime.processes.server import event_loop

    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(supervise(sys.argv[1]))
