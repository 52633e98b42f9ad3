"""The scripted provider as tests have it: it plays what they say, and notes the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from upstream.demo.scripted import CLOSE, RESET, Received, ScriptedConnection, ScriptedProvider, Step

__all__ = ["CLOSE", "RESET", "FakeUpstream", "Received", "Step"]


class FakeUpstream(ScriptedProvider):
    """Plays one script per request, the last one again and again when there are more requests than scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[Iterable[Step]] = []
        self.requests: list[Received] = []
        self.connections: list[ScriptedConnection] = []
        self._arrived = asyncio.Event()

    def connect(self) -> ScriptedConnection:
        connection = super().connect()
        self.connections.append(connection)
        return connection

    def play(self, *steps: Step) -> None:
        """Answer the next request with these steps."""
        self.scripts.append(steps)

    def forget(self) -> None:
        """Begin as if nothing had been played or asked yet."""
        self.scripts, self.requests = [], []

    async def request(self, number: int = 0) -> Received:
        """Wait for the request of that number, counted from 0."""
        while len(self.requests) <= number:
            self._arrived.clear()
            await self._arrived.wait()
        return self.requests[number]

    async def stalled(self) -> int:
        """Wait until the other side takes nothing more; how many bytes it was given by then."""
        written, turns = -1, 0
        while turns < 1000:
            turns = turns + 1 if self.written == written else 0
            written = self.written
            await asyncio.sleep(0)
        return written

    def script_of(self, request: Received) -> Iterable[Step]:
        self.requests.append(request)
        self._arrived.set()
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
