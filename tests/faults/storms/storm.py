"""A storm: many calls at once. The fate of each is drawn from a seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from tests.fake_upstream import CLOSE, RESET, Received, Step
from tests.faults.calls import BODY_HEAD, STREAM_HEAD, Call
from tests.faults.load import Provider
from tests.faults.sabotage.marks import HEADER, MARK
from tests.raw_client import RawClient
from tests.server_process import ServerProcess
from upstream.demo.scripted import chunk

CLIENTS = 150
# Each comes to pass as often as the others.
FATES = (
    *("complete",) * 3,
    "the client leaves",
    "the client leaves within its request",
    "the upstream stalls",
    "the upstream breaks off",
    "the upstream refuses",
    "the bridge refuses",
    "a reader fails",
    "a handler fails",
    "passed on",
)
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
MAX_STAY_SECONDS = 0.4
ERROR = b'{"error":{"type":"invalid_request_error","message":"No."}}'
ERROR_HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Fate:
    """What becomes of one call: where it goes, how much of it is sent, what the upstream plays, when its client leaves."""

    call: Call
    name: str
    path: str
    body: bytes
    script: Sequence[Step]
    token: str | None = None
    sent: int | None = None
    stays: float | None = None


def fate(random: Random, number: int) -> Fate:
    call = Call.numbered(number)
    script: list[Step] = list(call.script())
    cut = random.randrange(len(script))
    drawn = Fate(call, random.choice(FATES), call.path, call.request, script)
    match drawn.name:
        case "the client leaves":
            drawn.stays = random.uniform(0, MAX_STAY_SECONDS)
            drawn.script = [*script[:cut], asyncio.Event()]
        case "the client leaves within its request":
            drawn.sent, drawn.stays = random.randrange(600), random.uniform(0, MAX_STAY_SECONDS)
        case "the upstream stalls":
            drawn.script = [*script[:cut], asyncio.Event()]
        case "the upstream breaks off":
            drawn.script = [*script[:cut], random.choice((RESET, CLOSE))]
        case "the upstream refuses":
            drawn.script = [ERROR_HEAD % (random.choice((400, 404, 500, 503, 529)), len(ERROR)) + ERROR]
        case "the bridge refuses":
            _refuse(random, drawn)
        case "a reader fails":
            drawn.script = _marked(call)
        case "a handler fails":
            drawn.script = [script[0].replace(b"\r\n", b"\r\n%s: 1\r\n" % HEADER, 1), *script[1:]]
        case "passed on":
            drawn.path = "/api/v2/aibridge/openai/v1/responses/input_tokens"
    return drawn


def _refuse(random: Random, drawn: Fate) -> None:
    match random.choice(("token", "body", "route")):
        case "token":
            drawn.token = UNKNOWN
        case "body":
            drawn.body = drawn.body[:-2]
        case "route":
            drawn.path = "/api/v2/aibridge/openai/v1/nowhere"


def _marked(call: Call) -> Sequence[Step]:
    if call.streaming:
        first, *others = call.events
        return [STREAM_HEAD, chunk(first), chunk(b": %s\n\n" % MARK), *map(chunk, others), b"0\r\n\r\n"]
    body = call.response.replace(b"{", b'{"%s": 1, ' % MARK, 1)
    return [BODY_HEAD % len(body), body]


class StormProvider(Provider):
    def __init__(self) -> None:
        super().__init__()
        self.fates: dict[int, Fate] = {}

    def script_of(self, request: Received) -> Sequence[Step]:
        number = Call.requested(request.body).number
        self.requested[number] += 1
        return self.fates[number].script


@dataclass
class Storm:
    server: ServerProcess
    token: str
    provider: StormProvider
    statuses: Counter[int | None] = field(default_factory=Counter)
    begun: set[UUID] = field(default_factory=set)

    async def rage(self, fates: Sequence[Fate]) -> None:
        """Make the calls, `CLIENTS` at a time."""
        self.provider.fates |= {one.call.number: one for one in fates}
        waiting = iter(fates)

        async def call_on() -> None:
            for one in waiting:
                self.statuses[await self._live(one)] += 1

        await asyncio.gather(*(call_on() for _ in range(CLIENTS)))

    async def _live(self, fate: Fate) -> int | None:
        """The status that the client saw; None when it saw none."""
        try:
            client = RawClient(*await asyncio.open_connection("127.0.0.1", self.server.port))
        except ConnectionError:
            return None
        calling = asyncio.create_task(self._call(client, fate))
        if fate.stays is not None:
            await asyncio.wait({calling}, timeout=fate.stays)
            with suppress(OSError):  # it is closed already
                client.reset()
        status = await calling
        await client.closed()
        return status

    async def _call(self, client: RawClient, fate: Fate) -> int | None:
        head = f"POST {fate.path} HTTP/1.1\r\nHost: bridge\r\nX-Api-Key: {fate.token or self.token}\r\n"
        head += f"Content-Length: {len(fate.body)}\r\n\r\n"
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await client.send_raw((head.encode() + fate.body)[: fate.sent])
            response = await client.head()
            if interception_id := response.header("X-AI-Bridge-Interception-Id"):
                self.begun.add(UUID(interception_id))
            return (await client.rest(response)).status
        return None
