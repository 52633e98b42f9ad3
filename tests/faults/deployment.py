"""A deployed bridge: a process on a MongoDB. After a restart it has the same address and data-dir."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.faults.waiting import until
from tests.server_process import ServerProcess

INFO = re.compile(r"^\S+ \S+ INFO ")
# What a server may say of a database that is away, and of another server that has died.
DATABASE_UNAVAILABLE = (
    r"WARNING storage\.recording\.outbox\.writer: (worker \d+: )?records wait: ",
    r"WARNING storage\.(derived|search)\.[\w.]+: (worker \d+: )?a batch of \d+ took longer than ",
    r"WARNING storage\.mongo\.health: ",
    r"WARNING storage\.mongo\.event_counts: (worker \d+: )?[\w ]+ could not be written and are lost: ",
)
LEFT_IN_FLIGHT = r"WARNING storage\.recording\.left_calls: (worker \d+: )?calls that instance \S+ left in flight: \d+$"


class Deployment:
    """Starts servers, one after the other, all with the same settings."""

    def __init__(self, data_dir: Path, mongodb_uri: str, provider_url: str, **environ: str) -> None:
        self.data_dir = data_dir
        self.port = 0
        self.processes: list[ServerProcess] = []
        self._environ = {
            "AIBRIDGE_MONGODB_URI": mongodb_uri,
            "AIBRIDGE_OPENAI_BASE_URL": provider_url + "v1/",
            "AIBRIDGE_OPENAI_KEY": "sk-of-the-faults-for-openai",
            "AIBRIDGE_ANTHROPIC_BASE_URL": provider_url,
            "AIBRIDGE_ANTHROPIC_KEY": "sk-of-the-faults-for-anthropic",
            **environ,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spool(self) -> list[str]:
        """The files in which records wait."""
        return [path.name for path in (self.data_dir / "spool").glob("*.journal") if path.stat().st_size]

    async def start(self, *flags: str) -> ServerProcess:
        """Start a server and wait until it listens; from the second on, where the first did."""
        where = ("--http-address", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir)
        process = ServerProcess("serve", *where, *flags, **self._environ)
        self.processes.append(process)
        self.port = await asyncio.to_thread(lambda: process.port)
        return process

    async def stop(self) -> None:
        for process in self.processes:
            process.kill()
            await process.leave()

    def complaints(self, expected: list[str]) -> list[str]:
        """What the servers said beyond information and the lines that were expected; to be asked when all have ended."""
        lines = [line for process in self.processes for line in process.stderr.all().splitlines()]
        return [line for line in lines if not INFO.match(line) and not any(re.search(one, line) for one in expected)]


async def database_is(server: ServerProcess, state: str, seconds: float) -> None:
    async def said() -> bool:
        return (await server.get("/readyz"))[1]["database"] == state

    await until(said, seconds)


async def spooled(server: ServerProcess, seconds: float) -> None:
    """Wait until records wait in the spool alone."""

    async def some() -> bool:
        return await server.metric("recorder_spooled_records") > 0

    await until(some, seconds)


async def all_written(server: ServerProcess, seconds: float) -> None:
    async def none() -> bool:
        return not await server.metric("recorder_spooled_records") + await server.metric("recorder_queue_length")

    await until(none, seconds)
