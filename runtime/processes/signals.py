"""What the signals of the operator and of the terminal do."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

SAME_SIGNAL_SECONDS = 0.5
"""What comes so soon after a signal is the same one again: a shell, `make` or `timeout` may each pass it on."""

STANDARD_INPUT = 0

logger = logging.getLogger("aibridge")


def stop_signals() -> asyncio.Event:
    """An event set by the first SIGTERM or SIGINT. The second one ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    since = 0.0

    def stop() -> None:
        nonlocal since
        if not stopping.is_set():
            since = loop.time()
            stopping.set()
        elif loop.time() - since > SAME_SIGNAL_SECONDS:
            logger.warning("second signal: exiting at once")
            os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


def renew_on_hangup(renew: asyncio.Future[Callable[[], None]], stopping: asyncio.Event) -> None:
    """Let SIGHUP renew the server, once there is one, unless it means that the terminal of the server was closed."""
    has_terminal = os.isatty(STANDARD_INPUT)

    def hang_up() -> None:
        if has_terminal and not os.isatty(STANDARD_INPUT):
            stopping.set()
        else:
            renew.add_done_callback(lambda found: found.result()())

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
