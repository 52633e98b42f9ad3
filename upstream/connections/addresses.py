"""The addresses of providers, cached for a short time and looked up once for concurrent requests."""

from __future__ import annotations

import asyncio
from socket import AI_ADDRCONFIG, SOCK_STREAM

from aiohappyeyeballs import AddrInfoType

# How long addresses are believed, in seconds.
ADDRESSES_SECONDS = 10.0


class Addresses:
    """Resolves names of hosts. Belongs to one event loop; a lookup takes a thread of its executor."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lookups: dict[tuple[str, int], tuple[float, asyncio.Task[list[AddrInfoType]]]] = {}

    async def find(self, host: str, port: int) -> list[AddrInfoType]:
        """The addresses of a host, the best first.

        Raises:
            OSError: There are none.
            UnicodeError: It is not a valid name.
        """
        now = self._loop.time()
        until, lookup = self._lookups.get((host, port), (0.0, None))
        if lookup is None or (lookup.done() and until <= now):
            lookup = self._loop.create_task(
                self._loop.getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_ADDRCONFIG)  # type: ignore[arg-type]
            )
            # The request may be gone by the time it fails.
            lookup.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._lookups[host, port] = (now + ADDRESSES_SECONDS, lookup)
        return await asyncio.shield(lookup)

    def forget(self, host: str, port: int) -> None:
        """Look up again the next time, because nothing responded there. A running lookup stays."""
        _, lookup = self._lookups.get((host, port), (0.0, None))
        if lookup is not None and lookup.done():
            del self._lookups[host, port]

    def close(self) -> None:
        """End all lookups."""
        for _, lookup in self._lookups.values():
            lookup.cancel()
