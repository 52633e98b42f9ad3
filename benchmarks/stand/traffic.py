"""A mixture of calls at a steady rate, as long as wanted: streams, whole responses, large bodies, clients that leave."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

from benchmarks.stand.conversations import CallSpec
from benchmarks.stand.load import LoadTarget

LARGE_BYTES = 1_000_000
MAX_AT_A_TIME = 2_000
RESPONSE_SECONDS = 60.0
READ_BYTES = 1 << 16
_LAST_CHUNK = b"0\r\n\r\n"


class TrafficCall(NamedTuple):
    """A kind of call: how often among 100, what it asks for, how much larger its body is, and whether it is broken off."""

    name: str
    weight: int
    spec: CallSpec
    padding: int = 0
    leaves: bool = False


CALLS = (
    TrafficCall("stream", 45, CallSpec("chat", 100, 10)),
    TrafficCall("burst", 10, CallSpec("chat", 100, 0)),
    TrafficCall("blocking", 25, CallSpec("chat")),
    TrafficCall("large body", 5, CallSpec("chat"), padding=LARGE_BYTES),
    TrafficCall("left", 15, CallSpec("chat", 100, 10), leaves=True),
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class CallError(Exception):
    """A call did not go as it should."""


class Traffic:
    """Calls of a target. `done` counts what was answered, by kind, and `failed` what was not, by reason."""

    def __init__(self, target: LoadTarget) -> None:
        self._port = target.port
        self._requests = {call.name: request(target, call) for call in CALLS}
        self._kept: list[Streams] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._random = random.Random(1)
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def run(self, rate: float, seconds: float) -> None:
        """Begin `rate` calls a second for so long, whether or not those before have ended; then wait for them."""
        for due in self._times(rate, seconds):
            await asyncio.sleep(max(0.0, due - monotonic()))
            if len(self._under_way) >= MAX_AT_A_TIME:
                self.failed[f"not begun, as {MAX_AT_A_TIME:,} were under way"] += 1
                continue
            (call,) = self._random.choices(CALLS, [call.weight for call in CALLS])
            task = asyncio.create_task(self._make(call))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def leave(self) -> None:
        """Close the connections that are kept."""
        for _, writer in self._kept:
            writer.transport.abort()
        self._kept.clear()

    def _times(self, rate: float, seconds: float) -> Iterator[float]:
        began = monotonic()
        return (began + number / rate for number in range(int(rate * seconds)))

    async def _make(self, call: TrafficCall) -> None:
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                await self._exchange(call)
        except (CallError, OSError, TimeoutError) as error:
            self.failed[f"{call.name}: {error or type(error).__name__}"] += 1
        else:
            self.done[call.name] += 1

    async def _exchange(self, call: TrafficCall) -> None:
        reader, writer = connection = await self._connection()
        keep = False
        try:
            writer.write(self._requests[call.name])
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise CallError(head[9:12].decode())
            if not call.leaves:
                await _read_whole(reader, head)
                keep = True
        except asyncio.IncompleteReadError as error:
            raise CallError("closed before the response was whole") from error
        finally:
            if keep:
                self._kept.append(connection)
            else:
                writer.transport.abort()

    async def _connection(self) -> Streams:
        while self._kept:
            reader, writer = self._kept.pop()
            if not reader.at_eof():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection("127.0.0.1", self._port)


def request(target: LoadTarget, call: TrafficCall) -> bytes:
    """The bytes of a call. What is added to its body is the history of a conversation, which is not recorded."""
    if not call.padding:
        return target.request(call.spec)
    plain = json.loads(call.spec.request_body())
    plain["messages"].insert(1, {"role": "assistant", "content": "x" * call.padding})
    return target.request(call.spec, json.dumps(plain).encode())


async def _read_whole(reader: asyncio.StreamReader, head: bytes) -> None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line[15:]))
            return
    tail = b""
    while tail != _LAST_CHUNK:
        data = await reader.read(READ_BYTES)
        if not data:
            raise CallError("closed before the stream was whole")
        tail = (tail + data)[-len(_LAST_CHUNK) :]
