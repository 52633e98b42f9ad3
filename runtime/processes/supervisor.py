"""The supervisor: keeps several worker processes serving on the same sockets. It serves nothing itself.

A worker is a new interpreter that runs `runtime/processes/worker.py`, started as this one was. Its standard input is a
socket. On it the worker gets its configuration as one line of JSON, and sends one line back: empty when it serves, else
the reason why not. After that the socket carries messages about limits; see `runtime/authority`. End of file means that
the supervisor is gone, and the worker ends at once.

SIGTERM makes a worker drain, SIGHUP makes it retire: take no new connection, but refuse nothing on those it has.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from runtime.authority import ServerAuthority
from runtime.isolated import command
from runtime.jobs import Job, Jobs

START_SECONDS = 60.0
"""How long a worker may take until it serves. Usual: about 1."""

STEADY_SECONDS = 60.0
"""A worker that lived that long is replaced at once when it ends."""

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.5, 30.0
"""The pause before a worker that died earlier is replaced: the first, and the longest. It doubles each time."""

STOP_SECONDS = 30.0
"""What a worker that ends may take beyond the drain timeout, for its records above all; then it is killed."""

PROGRAM = Path(__file__).with_name("worker.py")

logger = logging.getLogger("aibridge")


class WorkerError(Exception):
    """A worker does not serve. The text says why, in one line."""


class Handover(msgspec.Struct, kw_only=True):
    """The configuration of a worker.

    `flags` are the settings of the command line, as text by name; `sockets` the descriptors to serve on; `mongodb_uri`
    is that of the embedded MongoDB, `demo_url` the address of the demo provider: both are empty without one.
    """

    flags: dict[str, str]
    sockets: list[int]
    mongodb_uri: str
    demo_url: str


@dataclass(eq=False)
class Worker:
    """A worker process, from its start to its end, with both ways of its socket. `began` is when it served."""

    process: Process
    authority: ServerAuthority
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    began: float = 0.0
    _limits: asyncio.Task[None] | None = None

    @classmethod
    async def spawn(cls, handover: Handover, environ: Mapping[str, str], authority: ServerAuthority) -> Self:
        """Start a process, out of reach of the terminal's signals.

        Raises:
            OSError: It cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *command(PROGRAM),
                stdin=theirs.fileno(),
                pass_fds=handover.sockets,
                env=environ,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(msgspec.json.encode(handover) + b"\n")
        return cls(process, authority, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    async def serving(self) -> None:
        """Wait until it serves; from then on its limits are decided. One that does not in time is killed.

        Raises:
            WorkerError: It does not.
        """
        line = b""
        try:
            async with asyncio.timeout(START_SECONDS):
                with suppress(ConnectionError):  # it is gone, and has not read what it was sent
                    line = await self.reader.readline()
        except TimeoutError:
            self.send(signal.SIGKILL)
            raise WorkerError(f"a worker was not ready after {START_SECONDS:g} s") from None
        if not line:
            raise WorkerError(f"a worker {await self.ended()} before it served")
        if reason := line.decode(errors="replace").strip():
            raise WorkerError(reason)
        self._limits = asyncio.create_task(self.authority.serve(self.reader, self.writer))  # noqa: TID251 - ends with the worker

    async def ended(self) -> str:
        """Wait for its end, and say how it ended."""
        code = await self.process.wait()
        self.writer.close()
        if code >= 0:
            return f"ended with exit code {code}"
        name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")  # of real time has no name
        return f"was killed by {name}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process.returncode is None:
            # Not the method of the process: that reaps the process too, so nobody else could wait for its end.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class _WorkerSlot(msgspec.Struct):
    """A place for one worker that serves; None while it is being filled again. `changed` tells who keeps it."""

    worker: Worker | None
    changed: asyncio.Event


class Supervisor:
    """Keeps a number of workers serving, from `start` to `stop`, on one event loop.

    Args:
        workers: How many.
        drain_timeout: How long an ending worker lets requests run, in seconds.
        spawn: Starts a worker; raises OSError.
        reap: Called with the process id of a worker that has ended. It may raise OSError.
        clock: Seconds that never go back.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        workers: int,
        *,
        drain_timeout: float,
        spawn: Callable[[], Awaitable[Worker]],
        reap: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._number = workers
        self._drain_timeout = drain_timeout
        self._spawn = spawn
        self._reap = reap
        self._clock = clock
        self._pause = pause
        self._exits: dict[Worker, asyncio.Task[None]] = {}
        self._slots: list[_WorkerSlot] = []
        self._jobs: list[Job] = []
        self._renewal = asyncio.Event()

    async def start(self) -> None:
        """Start the workers and wait until they serve. One that does not is tried again, if another one does.

        Raises:
            WorkerError: None does.
        """
        first = await asyncio.gather(*(self._start() for _ in range(self._number)), return_exceptions=True)
        failures = [one for one in first if isinstance(one, BaseException)]
        if len(failures) == len(first) or not all(isinstance(one, WorkerError) for one in failures):
            raise failures[0]
        for failure in failures:
            logger.error("%s", failure)
        self._slots = [_WorkerSlot(one if isinstance(one, Worker) else None, asyncio.Event()) for one in first]
        jobs = Jobs(clock=self._clock, pause=self._pause)
        self._jobs = [jobs.start("renewal", self._renew_on_request)]
        for number, slot in enumerate(self._slots):
            self._jobs.append(jobs.start(f"worker_{number}", partial(self._keep, slot)))

    def renew(self) -> None:
        """Replace every worker by a new one, one after the other, in the background."""
        self._renewal.set()

    async def stop(self) -> None:
        """Let every worker drain, and wait for its end."""
        for job in self._jobs:
            await job.stop()
        await asyncio.gather(*(self._end(worker, signal.SIGTERM) for worker in self._exits), *self._exits.values())

    async def _start(self) -> Worker:
        try:
            worker = await self._spawn()
        except OSError as error:
            raise WorkerError(f"a worker cannot be started: {error.strerror}") from error
        self._exits[worker] = asyncio.create_task(self._reap_when_ended(worker))  # noqa: TID251 - reaps the worker
        await worker.serving()
        worker.began = self._clock()
        return worker

    async def _reap_when_ended(self, worker: Worker) -> None:
        await worker.ended()
        del self._exits[worker]
        for slot in self._slots:
            slot.changed.set()
        try:
            self._reap(worker.pid)
        except OSError as error:  # its folder was cleaned away, or its disk is full
            logger.warning("the metrics of worker %d are lost: %s", worker.pid, error)

    async def _end(self, worker: Worker, how: signal.Signals) -> None:
        worker.send(how)
        try:
            await asyncio.wait_for(worker.ended(), self._drain_timeout + STOP_SECONDS)
        except TimeoutError:
            logger.error("worker %d does not end: killing it", worker.pid)  # noqa: TRY400 - it is no error of ours
            worker.send(signal.SIGKILL)
            await worker.ended()

    async def _keep(self, slot: _WorkerSlot) -> None:
        """Fill a slot again whenever its worker ends."""
        failures = 0 if slot.worker else 1
        while True:
            slot.changed.clear()
            if slot.worker is None:
                await self._pause(pause_after(failures))
                slot.worker = await self._replacement()
                failures += slot.worker is None
            elif slot.worker in self._exits:
                await slot.changed.wait()
            else:
                logger.warning("worker %d %s: starting another", slot.worker.pid, await slot.worker.ended())
                failures = 0 if self._clock() - slot.worker.began >= STEADY_SECONDS else failures + 1
                slot.worker = None

    async def _replacement(self) -> Worker | None:
        try:
            worker = await self._start()
        except WorkerError as error:
            logger.error("%s", error)  # noqa: TRY400 - the reason is all there is to say
            return None
        logger.info("worker %d serves", worker.pid)
        return worker

    async def _renew_on_request(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            logger.info("rolling restart: %d workers, one after the other", self._number)
            for slot in self._slots:
                if (old := slot.worker) and not await self._renew(slot, old):
                    logger.error("rolling restart stopped: the other workers stay")
                    break
            else:
                logger.info("rolling restart finished")

    async def _renew(self, slot: _WorkerSlot, old: Worker) -> bool:
        """Start a new worker in a slot, then let the old one retire; return whether there is a new one."""
        new = await self._replacement()
        if new is None:
            return False
        if new not in self._exits:
            logger.error("worker %d %s", new.pid, await new.ended())
            return False
        # The old one may have died meanwhile, and its slot be filled again or about to be.
        retiring = new
        if slot.worker is old:
            slot.worker, retiring = new, old
        await self._end(retiring, signal.SIGHUP)
        return True


def pause_after(failures: int) -> float:
    """How long to wait, in seconds, after that many workers in a row did not last."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16), LAST_PAUSE_SECONDS) if failures else 0
