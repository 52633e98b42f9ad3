"""Decisions of a supervisor for a worker, as two processes: what `benchmarks.admissions` measures of `limits-scope` `server`."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits.authority import LocalAuthority
from limits.limiter import Limiter
from runtime.authority import ServerAuthority, SupervisorLink, WorkerAuthority, WorkerLink


@asynccontextmanager
async def server_authority() -> AsyncIterator[WorkerAuthority]:
    """What a worker asks, while another process decides."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.server_scope"), stdin=theirs.fileno(), stdout=asyncio.subprocess.PIPE
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


async def supervise() -> None:
    """Decide for whoever is at the other end of standard input, until that ends."""
    ended = asyncio.Event()

    class Link(SupervisorLink):
        def close(self) -> None:
            super().close()
            ended.set()

    await asyncio.get_running_loop().create_unix_connection(
        lambda: Link(ServerAuthority(LocalAuthority())), sock=socket.socket(fileno=0)
    )
    print("started", flush=True)
    await ended.wait()


if __name__ == "__main__":
    from runtime.serving import event_loop

    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(supervise())
