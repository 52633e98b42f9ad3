"""A server of two workers, as operators run it, for tests of what workers share."""

import asyncio
import os
import signal
from contextlib import contextmanager
from uuid import UUID

from msgspec.json import decode

from storage.mongo.database import Database
from storage.mongo.embedded import running_uri
from tests.fake_upstream import FakeUpstream
from tests.handlers.conversations import MESSAGES
from tests.polling import PAUSE_SECONDS
from tests.server_process import ServerOfForks, command_line
from upstream.demo.scripted import chunk

PATH = "/api/v2/aibridge/anthropic/v1/messages"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCKING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
LIMITED = b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
FIRST = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
REST = MESSAGES.stream[len(FIRST) :]


class Upstream(FakeUpstream):
    """Answers blocking calls at once, and streams after their first event when `gate` is set; or refuses all of them."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()
        self.is_limited = False

    def script_of(self, request):
        self.requests.append(request)
        if self.is_limited:
            return (LIMITED,)
        if decode(request.body)["stream"]:
            return HEAD + chunk(FIRST), self.gate, chunk(REST) + b"0\r\n\r\n"
        return (BLOCKING % (len(MESSAGES.body), MESSAGES.body),)


class TwoWorkers(ServerOfForks):
    """A server of two workers with a demo user; on a MongoDB of its own, unless the address of another one is given."""

    def __init__(self, data_dir, upstream, *flags, mongodb_uri="", database_name="aibridge", **environ):
        where = ("--http-address", "127.0.0.1:0", "--data-dir", data_dir)
        super().__init__(
            *("serve", "--demo", "--workers", "2", *where, *flags),
            AIBRIDGE_ANTHROPIC_BASE_URL=upstream.url,
            AIBRIDGE_MONGODB_URI=mongodb_uri,
            AIBRIDGE_MONGODB_DATABASE=database_name,
            TMPDIR=str(data_dir.parent),
            **environ,
        )
        self._data_dir = data_dir
        self._mongodb_uri = mongodb_uri
        self._database_name = database_name

    async def ready(self):
        await asyncio.to_thread(self.stdout.find, "interceptions")
        self.token = (self._data_dir / "demo-token").read_text().strip()

    def workers(self):
        return {child for child in self.children() if "mongod" not in command_line(child)[0]}

    async def call(self, client, *, stream=False):
        """Make a call, and read its answer as far as its head."""
        await client.send("POST", PATH, {"X-Api-Key": self.token}, MESSAGES.request_body(stream=stream))
        return await client.head()

    async def stream(self):
        """Begin a stream and read its first event; the client, its answer so far, and the worker's process id."""
        client = await self.client()
        response = await self.call(client, stream=True)
        assert await client.piece(response) == FIRST
        id_ = UUID(response.header("X-AI-Bridge-Interception-Id"))
        with self.database() as database:
            while not (record := await database.interceptions.find_one({"_id": id_})):  # noqa: ASYNC110 - a start waits a moment
                await asyncio.sleep(PAUSE_SECONDS)
            instance = await database.members.find_one({"_id": record["instance_id"]})
        return client, response, instance["pid"]

    async def streams(self):
        """Begin a stream on each worker, by worker: the first one is paused meanwhile, so that the other accepts the second."""
        client, response, first = await self.stream()
        os.kill(first, signal.SIGSTOP)
        try:
            *rest, second = await self.stream()
        finally:
            os.kill(first, signal.SIGCONT)
        return {first: [(client, response)], second: [tuple(rest)]}

    @contextmanager
    def database(self):
        """What it records in; not to be kept: one that has gone with the server takes its time to be closed."""
        database = Database.connect(self._mongodb_uri or running_uri(self._data_dir), self._database_name)
        yield database
        database.close()

    async def recorded(self, **fields):
        with self.database() as database:
            return [document async for document in database.interceptions.find(fields)]

    async def ended_as(self, reason, number):
        with self.database() as database:
            while await database.interceptions.count_documents({"end_reason": reason}) < number:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(PAUSE_SECONDS)
