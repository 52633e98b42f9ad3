"""The demo's HTTP server."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from upstream.demo.api_call import Stamp
from upstream.demo.call import CallHandler

PACE = 0.03
"""Seconds between two events: slow enough to see the words come, fast enough not to wait for them."""


class DemoProvider:
    """A provider on an unused loopback port, made by `start` and ended by `stop`.

    Attributes:
        base_url: where it listens, with a slash at the end; the routes below it begin with `v1/`.
    """

    def __init__(self, server: HTTPServer, port: int) -> None:
        self._server = server
        self.base_url = f"http://127.0.0.1:{port}/"

    @classmethod
    async def start(
        cls,
        *,
        pace: float = PACE,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        new_key: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> Self:
        """Start serving.

        Args:
            pace: seconds between two events.
            sleep: waits that long.
            clock: seconds since 1970.
            new_key: letters and digits that no other response has, for its ids.

        Raises:
            OSError: no port could be opened.
        """
        call = {"new_stamp": lambda: Stamp(new_key(), int(clock())), "pause": partial(sleep, pace)}
        server = HTTPServer(Application([(".*", CallHandler, call)], log_function=lambda _handler: None))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        return cls(server, sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and cut every stream that is still open."""
        self._server.stop()
        await self._server.close_all_connections()
