"""The traffic of a cluster: one user who always wants more than may start, one far from every limit, and the provider."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.fake_upstream import Received, Step
from tests.faults.calls import Call
from tests.faults.cluster.servers import Server
from tests.faults.cluster.windows import Span
from tests.faults.load import Load, Provider, Rest, Seen

BURST_SECONDS = 2.5
BURST_CLIENTS = 16
PRESSING_CLIENTS, PRESSING_SECONDS = 2, 0.15
STEADY_CLIENTS, STEADY_SECONDS = 2, 1.2
# Every so many calls one that takes seconds: it is under way when something happens to its server.
SLOW, SLOW_SECONDS = 10, 0.6
GROUP = 10_000_000
GREEDY, STEADY = 1, 2


def group_of(number: int) -> int:
    """Whose call it is: `GREEDY` or `STEADY`."""
    return number // GROUP % 10


class TimedProvider(Provider):
    """Answers at a provider's pace, and notes when it received each call and when it had answered it."""

    def __init__(self) -> None:
        super().__init__()
        self.received_at: dict[int, float] = {}
        self.left_at: dict[int, float] = {}

    def script_of(self, request: Received) -> Iterable[Step]:
        loop = asyncio.get_running_loop()
        call = Call.requested(request.body)
        self.requested[call.number] += 1
        self.received_at.setdefault(call.number, loop.time())
        return self._play(call) if call.number % SLOW else self._play(call, SLOW_SECONDS)

    def _play(self, call: Call, pace: float = 0.02) -> Iterator[Step]:
        loop = asyncio.get_running_loop()
        try:
            for piece in call.script():
                due = asyncio.Event()
                loop.call_later(pace, due.set)
                yield due
                yield piece
        finally:  # also when its connection is lost
            self.left_at[call.number] = loop.time()

    def running(self, group: int) -> list[Span]:
        now = asyncio.get_running_loop().time()
        return [
            Span(began, self.left_at.get(number, now))
            for number, began in self.received_at.items()
            if group_of(number) == group
        ]


class Traffic:
    """Clients of every server. A call's number tells its server and its user."""

    def __init__(self, servers: Sequence[Server], greedy: str, steady: str) -> None:
        self._loads: dict[int, list[tuple[Load, int]]] = defaultdict(list)
        for number, server in enumerate(servers):
            first = (10 * number + GREEDY) * GROUP
            self._add(number, Load(server, greedy, first, _at_a_burst), BURST_CLIENTS)
            self._add(number, Load(server, greedy, first + GROUP // 2, _after(PRESSING_SECONDS)), PRESSING_CLIENTS)
            self._add(
                number, Load(server, steady, (10 * number + STEADY) * GROUP, _after(STEADY_SECONDS)), STEADY_CLIENTS
            )

    @property
    def seen(self) -> list[Seen]:
        return [seen for loads in self._loads.values() for load, _ in loads for seen in load.seen]

    @property
    def begun(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.interception_id is not None]

    def of(self, number: int) -> list[Seen]:
        return [seen for load, _ in self._loads[number] for seen in load.seen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for loads in self._loads.values():
                for load, clients in loads:
                    await stack.enter_async_context(load.running(clients))
            yield

    def _add(self, number: int, load: Load, clients: int) -> None:
        self._loads[number].append((load, clients))


def _after(seconds: float) -> Rest:
    async def rest() -> None:
        await asyncio.sleep(seconds)

    return rest


async def _at_a_burst() -> None:
    """Wait until all clients call at once again."""
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(BURST_SECONDS - now % BURST_SECONDS)
