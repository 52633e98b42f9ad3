"""The interface of a measured gateway: how it is installed and started, and where its APIs are.

To add one, write a subclass of `Runner` in a file of this folder and list it in `benchmarks/gateways/__main__.py`.
"""

from __future__ import annotations

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import ClassVar

from benchmarks.stand.conversations import CONVERSATIONS, CallSpec
from benchmarks.stand.load import LoadTarget
from benchmarks.stand.processes import StandProcess

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aibridge-benchmarks"
"""Where gateways are installed that are not part of this project."""

START_SECONDS = 90.0
POLL_SECONDS = 0.01


class UnavailableError(Exception):
    """A gateway cannot be measured here. The text gives the reason, and what would help."""


@dataclass(frozen=True)
class Setup:
    """The setup of a gateway: the upstream's port, its own port, a folder for its files, and its cores."""

    upstream: int
    port: int
    folder: Path
    cores: AbstractSet[int]

    @property
    def upstream_url(self) -> str:
        """Scheme, host and port of the upstream."""
        return f"http://127.0.0.1:{self.upstream}"


@dataclass(frozen=True)
class Program:
    """How a gateway is started."""

    command: Sequence[str | Path]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Runner(ABC):
    """A kind of gateway. A running one has its own process; the direct connection has none."""

    name: str
    apis: ClassVar[AbstractSet[str]] = frozenset(CONVERSATIONS)
    """Those that it has."""
    database: int | None = None
    """The process id of the database it writes to, which does not count as its own."""

    @abstractmethod
    def prepare(self) -> str:
        """Install what is missing; return the version.

        Raises:
            UnavailableError: it cannot be installed.
        """

    @abstractmethod
    def program(self, setup: Setup) -> Program:
        """Write its configuration, and return how it is started."""

    def target(self, setup: Setup, api: str) -> LoadTarget:  # noqa: ARG002 - for those whose APIs are in several places
        """Where clients find an API of it."""
        return LoadTarget(setup.port)

    def at_rest(self) -> bool:
        """Whether all its work is done, including the work after its responses."""
        return True

    def start(self, setup: Setup) -> Running:
        """Start it and wait until it has answered a call."""
        program = self.program(setup)
        log = setup.folder / "log"
        began = time.monotonic()
        process = StandProcess(
            program.command, log=log, cores=setup.cores, environ=program.environ, folder=program.folder or setup.folder
        )
        running = Running(self, setup, process)
        try:
            running.await_response()
        except BaseException:
            running.stop()
            raise
        running.start_seconds = time.monotonic() - began
        return running


class Running:
    """A running gateway."""

    def __init__(self, runner: Runner, setup: Setup, process: StandProcess | None) -> None:
        self.runner = runner
        self.process = process
        self.start_seconds = 0.0
        self._setup = setup

    def target(self, api: str) -> LoadTarget:
        """Where clients find an API of it."""
        return self.runner.target(self._setup, api)

    def await_response(self) -> None:
        """Wait until it answers a call as expected.

        Raises:
            UnavailableError: it ended, or does not in `START_SECONDS`.
        """
        assert self.process is not None
        end = time.monotonic() + START_SECONDS
        while self.process.running and time.monotonic() < end:
            if responds(self.target("chat")):
                return
            time.sleep(POLL_SECONDS)
        raise UnavailableError(f"it does not start: {self.process.last_words()}")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.stop()


def responds(target: LoadTarget) -> bool:
    """Whether a call gets the expected response."""
    connection = HTTPConnection("127.0.0.1", target.port, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **target.headers}
        connection.request("POST", target.path("chat"), CallSpec().request_body(), headers)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A free port of the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
