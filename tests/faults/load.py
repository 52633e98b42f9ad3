"""Load on a bridge: clients that call and note the responses, and the provider behind it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import aiohttp

from tests.fake_upstream import FakeUpstream, Received, Step
from tests.faults.calls import Call

CLIENTS = 16
# From one piece of a response to the next: long enough that at any moment some calls are in each of their stages.
PACE_SECONDS = 0.02
# Nothing that is tested here may keep a client waiting longer.
CLIENT_SECONDS = 30


Rest = Callable[[], Awaitable[None]]


class Place(Protocol):
    @property
    def url(self) -> str: ...


class Provider(FakeUpstream):
    """Answers each call at a provider's pace, or by script where a test gave one; counts how often it was requested."""

    def __init__(self) -> None:
        super().__init__()
        self.requested: Counter[int] = Counter()

    def script_of(self, request: Received) -> Iterable[Step]:
        call = Call.requested(request.body)
        self.requested[call.number] += 1
        return super().script_of(request) if self.scripts else self._paced(call)

    @staticmethod
    def _paced(call: Call) -> Iterator[Step]:
        loop = asyncio.get_running_loop()
        for piece in call.script():
            due = asyncio.Event()
            loop.call_later(PACE_SECONDS, due.set)
            yield due
            yield piece


@dataclass
class Seen:
    """What the client saw of a call; without a status it saw nothing."""

    call: Call
    began_at: float
    ended_at: float = 0.0
    waited: float = 0.0
    status: int | None = None
    interception_id: UUID | None = None
    body: bytes | None = None

    @property
    def served(self) -> bool:
        return self.status == 200 and self.body == self.call.response


class Load:
    """Clients of a deployment that call one after another. `waited`: for the head of each response, in seconds.

    The calls are numbered from `first`. After each call its client waits for `rest`.
    """

    def __init__(self, deployment: Place, token: str, first: int = 1_000, rest: Rest | None = None) -> None:
        self.seen: list[Seen] = []
        self._deployment = deployment
        self._headers = {"Authorization": f"Bearer {token}"}
        self._numbers = itertools.count(first)
        self._rest = rest
        self._may_call = asyncio.Event()
        self._may_call.set()
        self._ended = asyncio.Condition()

    @asynccontextmanager
    async def running(self, clients: int = CLIENTS) -> AsyncIterator[None]:
        """Keep the load up within the context; when it closes, the calls under way go on to their end."""
        timeout = aiohttp.ClientTimeout(total=CLIENT_SECONDS)
        async with aiohttp.ClientSession(self._deployment.url, headers=self._headers, timeout=timeout) as session:
            stopping = asyncio.Event()
            workers = [asyncio.create_task(self._call_on(session, stopping)) for _ in range(clients)]
            try:
                yield
            finally:
                stopping.set()
                self.go_on()
                await asyncio.gather(*workers)

    def hold(self) -> None:
        """Begin no call until `go_on`."""
        self._may_call.clear()

    def go_on(self) -> None:
        self._may_call.set()

    async def more(self, number: int) -> None:
        """Wait until that many more calls have ended."""
        enough = len(self.seen) + number
        async with asyncio.timeout(CLIENT_SECONDS), self._ended:
            await self._ended.wait_for(lambda: len(self.seen) >= enough)

    @property
    def begun(self) -> list[Seen]:
        """The calls whose client was told the interception."""
        return [seen for seen in self.seen if seen.interception_id is not None]

    @property
    def longest_wait(self) -> float:
        return max(seen.waited for seen in self.seen)

    async def _call_on(self, session: aiohttp.ClientSession, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self._may_call.wait()
            await self._call(session, Call.numbered(next(self._numbers)))
            if self._rest is not None:
                await self._rest()

    async def _call(self, session: aiohttp.ClientSession, call: Call) -> None:
        loop = asyncio.get_running_loop()
        seen = Seen(call, began_at=loop.time())
        try:
            async with session.post(call.path, data=call.request) as response:
                seen.waited, seen.status = loop.time() - seen.began_at, response.status
                if interception_id := response.headers.get("X-AI-Bridge-Interception-Id"):
                    seen.interception_id = UUID(interception_id)
                seen.body = await response.read()
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            pass  # the bridge died, or broke off
        seen.ended_at = loop.time()
        async with self._ended:
            self.seen.append(seen)
            self._ended.notify_all()
