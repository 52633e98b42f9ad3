"""The server as operators run it: its own process, real signals, and all its output."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from storage.mongo.embedded import _socket_address
from tests.forked import Forked
from tests.polling import PAUSE_SECONDS
from tests.raw_client import RawClient

ROOT = Path(__file__).parent.parent
# A start takes about a second; this is for a machine that has much else to do.
SECONDS = 30


class Lines:
    """What a process says, line by line as it comes."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._more = threading.Condition()
        self._reading = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reading.start()

    def find(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Wait for a line. One that never comes is a failure that shows what was said instead."""
        with self._more:
            self._more.wait_for(lambda: self._ended or self._match(pattern), seconds)
            found = self._match(pattern)
            assert found, f"no line like {pattern!r} in:\n{''.join(self._lines)}"
            return found

    def so_far(self) -> list[str]:
        """The lines that came until now."""
        with self._more:
            return list(self._lines)

    def all(self) -> str:
        """Everything, once the process has ended."""
        self._reading.join(SECONDS)
        assert self._ended
        return "".join(self._lines)

    def _match(self, pattern: str) -> re.Match[str] | None:
        return next((match for line in self._lines if (match := re.search(pattern, line))), None)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._more:
                    self._lines.append(line)
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


class ServerProcess:
    """One run of `python server.py` with these arguments; `environ` is all it finds in its environment beside PATH.

    `through` is a command that runs another one in its own process, such as nsenter(1). Without one the process begins with
    the modules loaded, and `outputs` may be descriptors for its first outputs.
    """

    program: tuple[str, ...] = ("server.py",)
    start_seconds: float = SECONDS

    def __init__(
        self, *arguments: str | Path, through: Sequence[str] = (), outputs: Sequence[int] = (), **environ: str
    ) -> None:
        environ = {"PATH": os.environ["PATH"], **environ}
        command = [*self.program, *map(str, arguments)]
        self._process: Forked | subprocess.Popen[str] = (
            subprocess.Popen(
                [*through, sys.executable, *command],
                cwd=ROOT,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if through or "PYTHONPATH" in environ
            else Forked(command, ROOT, environ, *outputs)
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._clients: list[RawClient] = []
        self.stdout = Lines(self._process.stdout)
        self.stderr = Lines(self._process.stderr)

    @property
    def port(self) -> int:
        """Where it listens, as soon as it does."""
        return self._address[1]

    @property
    def _address(self) -> tuple[str, int]:
        listening = r"INFO aibridge: AI Bridge is listening on http://([\d.]+):(\d+)"
        found = self.stderr.find(listening, self.start_seconds)
        return found[1], int(found[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    def children(self) -> list[int]:
        """The process ids of its children."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def await_handler(self, number: signal.Signals) -> None:
        """Wait until it handles a signal."""
        handled = None
        while handled is None or not int(handled[1], 16) >> number - 1 & 1:
            assert self._process.poll() is None, f"it ended, and never handled {number.name}"
            time.sleep(PAUSE_SECONDS)
            handled = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{self.pid}/status").read_text())

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(seconds)

    def succeeded(self) -> str:
        """Expect it to end by itself without an error; what it printed."""
        code = self.wait()
        assert code == 0, self.stderr.all()
        return self.stdout.all()

    async def ended(self) -> int:
        """The same, while the event loop turns."""
        return await asyncio.to_thread(self.wait)

    def refused(self) -> tuple[int, str]:
        """Expect it to end by itself without a word on stdout; its exit code and what is on stderr."""
        code = self.wait()
        assert self.stdout.all() == ""
        return code, self.stderr.all()

    def kill(self) -> None:
        """End it if it still runs, read what it said to the end, and expect no error that nobody handled."""
        self._process.kill()
        self.wait()
        self.stdout.all()
        said = self.stderr.all()
        assert " ERROR asyncio: " not in said, said

    async def client(self) -> RawClient:
        """A connection to it; closed by `leave` if not before."""
        client = RawClient(*await asyncio.open_connection(*self._address))
        self._clients.append(client)
        return client

    async def leave(self) -> None:
        """Close every connection to it."""
        for client in self._clients:
            await client.closed()

    async def get(self, path: str, token: str = "") -> tuple[int, Any]:
        """Ask once, on a connection of its own."""
        client = await self.client()
        response = await client.request("GET", path, {"Authorization": f"Bearer {token}"} if token else {})
        await client.closed()
        return response.status, json.loads(response.body)

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        client = await self.client()
        response = await client.request("GET", "/metrics", {})
        await client.closed()
        found = re.findall(rf"^coder_aibridged_{name}(?:{{.*}})? (\S+)$", response.body.decode(), re.MULTILINE)
        return sum(map(float, found))

    async def interceptions(self, token: str, number: int) -> list[dict[str, Any]]:
        """The interceptions, once that many have ended."""
        while True:
            status, listed = await self.get("/api/v2/aibridge/interceptions", token)
            assert status == 200, listed
            if len(listed["results"]) >= number:
                assert len(listed["results"]) == number
                return listed["results"]
            await asyncio.sleep(PAUSE_SECONDS)


class Bound:
    """A socket, as far as its name goes."""

    def __init__(self, *name: Any) -> None:
        self._name = name

    def getsockname(self) -> tuple[Any, ...]:
        return self._name


def command_line(pid: int) -> list[str]:
    """The program and the arguments of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def remove_sockets(data_dir: Path) -> None:
    """Remove what a killed server left below /tmp, where its mongod answered."""
    shutil.rmtree(_socket_address(data_dir).parent, ignore_errors=True)


def await_end(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], SECONDS)[0], f"process {pid} still runs"
    finally:
        os.close(descriptor)


class ServerOfForks(ServerProcess):
    """One whose workers are forked."""

    program = ("-m", "tests.runtime.processes.forking_server")


class PatientServerProcess(ServerProcess):
    """One that waits long for MongoDB."""

    program = ("-m", "tests.server.patient_server")
