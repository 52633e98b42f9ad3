"""A worker: one of several processes that serve on the same sockets. The supervisor starts it, nobody else can."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a script imports from its own folder; this one needs the folder of `server.py`
    sys.path[0] = str(Path(__file__).parents[2])

import msgspec

from runtime.authority import WorkerLink
from runtime.factories import known_secrets
from runtime.logs import set_up_logging
from runtime.processes.server import START_ERRORS, Server, event_loop, keep_memory_private, stop_signals
from runtime.processes.supervisor import Handover
from runtime.storage import open_database
from settings import SettingError, Settings, load

SUPERVISOR = 0
"""The descriptor of the socket to the supervisor: standard input."""


class SharedSocket(socket.socket):
    """A listening socket that other processes accept on as well; it yields one connection per event loop iteration.

    Tornado accepts until the queue is empty, so the first process to wake would get every connection of a burst.
    """

    _yielded = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or there was one just now.
        """
        if self._yielded:
            self._yielded = False
            raise BlockingIOError
        accepted = super().accept()
        self._yielded = True
        return accepted


async def serve(settings: Settings, handover: Handover) -> None:
    """Serve until a signal to retire or to stop. This process ends at once when the supervisor is gone.

    Raises:
        START_ERRORS: it cannot start.
    """
    stopping, retiring = stop_signals(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, retiring.set)
    async with AsyncExitStack() as stack:
        ours = socket.socket(fileno=os.dup(SUPERVISOR))  # the other one is for messages after the loop has ended
        link = WorkerLink(*await asyncio.open_unix_connection(sock=ours), on_lost=lambda: os._exit(1))
        stack.callback(link.close)
        database = open_database(handover.mongodb_uri or settings.mongodb_uri, settings, stack)
        sockets = [SharedSocket(fileno=descriptor) for descriptor in handover.sockets]
        for one in sockets:
            one.setblocking(False)
        server = await Server.open(settings, database, sockets, handover.demo_url, stack, workers=link.authority)
        link.serve()
        await server.settle()
        await _first(stopping.wait(), retiring.wait())
        if not stopping.is_set():
            await _first(stopping.wait(), server.retire())
        await server.stop(None if stopping.is_set() else 0)


def _explain(reason: str) -> None:
    """Send the supervisor one line with the reason why this worker does not serve."""
    os.write(SUPERVISOR, " ".join(reason.split()).encode() + b"\n")


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several to be done; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]  # noqa: TID251 - waited for below
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def main() -> None:
    """Serve as the supervisor says."""
    keep_memory_private()
    handover = msgspec.json.decode(sys.stdin.readline(), type=Handover)
    try:
        settings = load(handover.flags, os.environ)
        set_up_logging(known_secrets(settings), worker=True)
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(serve(settings, handover))
    except (*START_ERRORS, SettingError) as error:
        _explain(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
