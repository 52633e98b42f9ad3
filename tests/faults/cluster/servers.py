"""Servers of a cluster, each on a machine of its own, which can be paused, killed, cut off and restarted."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tests.faults.cluster.network import Host
from tests.faults.cluster.windows import Span
from tests.faults.deployment import INFO
from tests.server_process import ServerProcess

MAX_CONCURRENCY = 60
USER_MAX_CONCURRENCY = 30
RATE = 100
WINDOW_SECONDS = 10
ALONE, SHARED = "limits are server-local until", "limits are shared again"
# If it was killed before it said that it does not any more.
ALONE_SECONDS = 30.0
TIME = "%Y-%m-%d %H:%M:%S,%f"
SETTINGS = {
    "AIBRIDGE_WORKERS": "2",
    "AIBRIDGE_LIMITS_SCOPE": "cluster",
    "AIBRIDGE_MAX_CONCURRENCY": str(MAX_CONCURRENCY),
    "AIBRIDGE_USER_MAX_CONCURRENCY": str(USER_MAX_CONCURRENCY),
    "AIBRIDGE_RATE_LIMIT": str(RATE),
    "AIBRIDGE_RATE_WINDOW": f"{WINDOW_SECONDS}s",
}


class Process(ServerProcess):
    """A server that may take long to start: there are a dozen processes beside it."""

    start_seconds = 240.0


class Server:
    """One server; `url` is where clients reach it, also when it was restarted. `environ` is added to its settings.

    Its clock is `behind` by so many seconds.
    """

    def __init__(self, host: Host, data_dir: Path, *, behind: float = 0, **environ: str) -> None:
        self.host = host
        self._behind = behind
        self.down: list[Span] = []
        self._data_dir = data_dir
        self._environ = {**SETTINGS, **environ}
        self._port = 0
        self._process: Process
        self._runs: list[Process] = []

    @property
    def url(self) -> str:
        return f"http://{self.host.front}:{self._port}"

    @property
    def process(self) -> Process:
        return self._process

    async def start(self) -> None:
        where = ("--http-address", f"{self.host.front}:{self._port}", "--data-dir", self._data_dir)
        self._process = Process("serve", *where, through=self.host.through, **self._environ)
        self._runs.append(self._process)
        self._port = await asyncio.to_thread(lambda: self._process.port)

    def send(self, number: signal.Signals) -> None:
        for pid in (self._process.pid, *self._process.children()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def pause(self, seconds: float) -> None:
        self.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.send(signal.SIGCONT)

    async def kill(self, seconds: float) -> None:
        await self._down(signal.SIGKILL, seconds)

    async def restart(self, seconds: float) -> None:
        await self._down(signal.SIGTERM, seconds)

    async def reload(self, seconds: float) -> None:
        self._process.send(signal.SIGHUP)
        await asyncio.sleep(seconds)

    async def cut(self, seconds: float) -> None:
        self.host.cut()
        await asyncio.sleep(seconds)
        self.host.join()

    async def stop(self) -> None:
        self._process.send(signal.SIGTERM)
        await self._process.ended()

    async def close(self) -> None:
        for process in self._runs:
            process.kill()
            await process.leave()

    def alone(self) -> list[Span]:
        """When it decided alone, by its log: also where nobody cut it off, and the database was slow."""
        to_loop = asyncio.get_running_loop().time() - time.time() + self._behind
        found: list[Span] = []
        for line in (line for process in self._runs for line in process.stderr.so_far()):
            if ALONE in line or SHARED in line:
                written = datetime.strptime(line[: len("2026-01-01 00:00:00,000")], TIME).astimezone()
                at = written.timestamp() + to_loop
                found.append(Span(at, at + ALONE_SECONDS) if ALONE in line else found.pop()._replace(end=at))
        return found

    def lines(self) -> list[str]:
        said = [line for process in self._runs for line in process.stderr.so_far()]
        return [line.rstrip() for line in said if not INFO.match(line)]

    def complaints(self, expected: list[str]) -> list[str]:
        """What it said beyond information, without the lines that were expected."""
        return [line for line in self.lines() if not any(re.search(one, line) for one in expected)]

    async def _down(self, number: signal.Signals, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        if number == signal.SIGKILL:
            self.send(number)
        else:
            self._process.send(number)
        await self._process.ended()
        await asyncio.sleep(seconds)
        await self.start()
        self.down.append(Span(began, clock()))
