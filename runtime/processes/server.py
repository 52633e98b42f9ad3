"""Serving: a bridge on sockets of this process, the event loop that it runs on, and the signals that stop or renew it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self

from handlers.application import BridgeApplication
from handlers.bridge import Bridge
from http1.server import BridgeServer, default_max_connections
from runtime.assembly import open_bridge
from runtime.authority import WorkerAuthority
from runtime.factories import make_providers
from runtime.processes.supervisor import WorkerError
from settings import Settings
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.embedded import EmbeddedUnavailableError
from storage.prices.pricing import list_prices
from storage.recording.outbox.spool import SpoolOpenError

logger = logging.getLogger("aibridge")


class StartError(Exception):
    """The server cannot start. The text says what to do."""


# Of TLS 1.2, those with forward secrecy that authenticate what they encrypt; TLS 1.3 has no others (RFC 9325, section 4.2).
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# How long a thread of the driver's may keep an event waiting once it computes; 5 ms are usual.
SWITCH_SECONDS = 0.0005
START_ERRORS = (StartError, WorkerError, DatabaseUnavailableError, EmbeddedUnavailableError, SpoolOpenError)


class Server:
    """A bridge that is served on sockets by this process."""

    def __init__(self, bridge: Bridge, http: BridgeServer, settings: Settings, tls: ssl.SSLContext | None) -> None:
        self._bridge = bridge
        self._http = http
        self._settings = settings
        self._tls = tls
        self._drain_timeout = settings.drain_timeout.total_seconds()

    @classmethod
    async def open(
        cls,
        settings: Settings,
        database: Database,
        sockets: Sequence[socket.socket],
        demo_url: str,
        stack: AsyncExitStack,
        *,
        workers: WorkerAuthority | None = None,
    ) -> Self:
        """Create the bridge and accept connections. The stack closes it.

        Args:
            settings: The settings.
            database: The database for records.
            sockets: Where it listens.
            demo_url: The address of the demo provider; empty without one.
            stack: Closes it.
            workers: In a worker, what decides about limits for all workers of the server.

        Raises:
            SpoolOpenError: the spool in the data-dir cannot be used.
            StartError: the certificate cannot be used.
        """
        tls = open_tls(settings)
        bridge = await open_bridge(settings, database, make_providers(settings, demo_url), stack, workers)
        http = BridgeServer(
            BridgeApplication(bridge),
            max_connections=default_max_connections(),
            on_refusal=bridge.note_unread,
            tls=tls,
        )
        http.add_sockets(sockets)
        sys.setswitchinterval(SWITCH_SECONDS)
        return cls(bridge, http, settings, tls)

    async def settle(self) -> None:
        """Load what is not needed to accept the first call. It is called once, when the server accepts connections."""
        await asyncio.to_thread(list_prices)
        # What was made so far stays: looking through it for garbage would stop every stream for 40 ms now and then.
        gc.freeze()

    def renew(self) -> None:
        """Read the certificate again, for new connections. Nothing else changes: one process has none to take its place."""
        if self._tls is None:
            logger.info("SIGHUP has no effect on a server of one process")
            return
        try:
            open_tls(self._settings)  # a key that does not fit would leave the one in use without any
            load_certificate(self._tls, self._settings)
        except StartError as error:
            logger.error("%s; the previous one stays", error)  # noqa: TRY400 - the reason is all there is to say
        else:
            logger.info("the certificate was reloaded")

    async def retire(self) -> None:
        """Accept no connection, and wait until those that are open have had their last response."""
        logger.info("retiring")
        self._bridge.lifecycle.close_streams()
        await self._http.retire(self._drain_timeout)

    async def stop(self, drain_timeout: float | None = None) -> None:
        """Let running requests finish, and end those that do not."""
        lifecycle = self._bridge.lifecycle
        logger.info("draining: %d requests in progress", lifecycle.in_flight)
        ended = await lifecycle.drain(self._drain_timeout if drain_timeout is None else drain_timeout)
        if ended:
            logger.warning("drain-timeout is over: %d requests were ended", ended)
        self._http.stop()
        await self._http.close_all_connections()


def open_tls(settings: Settings) -> ssl.SSLContext | None:
    """What the server shows to clients; None where it speaks without TLS.

    Raises:
        StartError: the certificate cannot be used.
    """
    if not settings.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Show the certificate that is in the files now.

    Raises:
        StartError: it cannot be used.
    """
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file or None)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"tls-cert-file or tls-key-file cannot be used: {reason}") from error


def event_loop() -> type[asyncio.AbstractEventLoop] | None:
    """Uvloop's loop where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return None
    loop: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return loop


_PR_SET_DUMPABLE = 4  # prctl(2)


def keep_memory_private() -> None:
    """Let no core dump be written of this process, whose memory has keys and prompts.

    On Linux other processes of the same account, too, can read neither its memory nor its environment from then on.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


SAME_SIGNAL_SECONDS = 0.5
"""What comes so soon after a signal is the same one again: a shell, `make` or `timeout` may each pass it on."""

STANDARD_INPUT = 0


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
