"""The demo's HTTP server."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self

from aiohttp import web

from upstream.demo.call import Call
from upstream.demo.exchange import Stamp

PACE = 0.03
"""Seconds between two events: slow enough to see the words come, fast enough not to wait for them."""

MAX_BODY_BYTES = 64 * 2**20

_STOP_GRACE = 0.1
"""Seconds an open stream has left when the demo stops; 0 would mean all the time it wants."""


def _random_key() -> str:
    return secrets.token_hex(12)


class DemoProvider:
    """A provider on an unused loopback port, made by `start` and ended by `stop`.

    Attributes:
        base_url: where it listens, with a slash at the end; the routes below it begin with `v1/`.
    """

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        host, port = runner.addresses[0]
        self.base_url = f"http://{host}:{port}/"

    @classmethod
    async def start(
        cls,
        *,
        pace: float = PACE,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        new_key: Callable[[], str] = _random_key,
    ) -> Self:
        """Start serving.

        Args:
            pace: seconds between two events.
            sleep: waits that long.
            clock: seconds since 1970.
            new_key: letters and digits that no other answer has, for its ids.

        Raises:
            OSError: no port could be opened.
        """

        async def respond(request: web.Request) -> web.StreamResponse:
            return await Call(request, Stamp(new_key(), int(clock())), partial(sleep, pace)).respond()

        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", respond)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_GRACE)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return cls(runner)

    async def stop(self) -> None:
        """Stop listening and cut every stream that is still open."""
        await self._runner.cleanup()
