"""A form with files goes to the provider while it arrives: byte for byte, sent once, and never held whole."""

import asyncio
import hashlib
import json
import os
import tracemalloc
from contextlib import suppress
from datetime import timedelta

import pytest

from handlers.dataplane import incoming_form
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, SharedPolicy
from storage.policies.documents import KeptPolicy
from tests.bridge import until

MIB = 2**20
PATH = "/api/v2/aibridge/openai/v1/"
TYPE = "multipart/form-data; boundary=b"
END = b"\r\n--b--\r\n"
ANSWER = json.dumps({"text": "hello", "usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 2}}).encode()


def field(name, value):
    return b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)


FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
BEGIN = field(b"model", b"m") + FILE


def response(body=ANSWER, status=200):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Provider:
    """Hands each connection to the test, which reads and writes as it likes."""

    def __init__(self):
        self.connections = asyncio.Queue()
        self._writers = []

    async def start(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    def _connected(self, reader, writer):
        self._writers.append(writer)
        self.connections.put_nowait((reader, writer))

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/"

    async def request(self):
        """The next request: its head, and both ends of its connection."""
        reader, writer = await self.connections.get()
        return (await reader.readuntil(b"\r\n\r\n")).decode(), reader, writer

    def hang_up(self):
        """Close every connection: the bridge has none left to use again."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(Provider().start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def bridge_settings(bridge_settings, provider):
    return {"openai_base_url": provider.url} | bridge_settings


async def begin(running, length=None, route="audio/transcriptions", first=BEGIN, headers=None):
    """Send the head of a request, and the first bytes of its body."""
    client = await running.client()
    framed = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    named = (headers or running.headers) | {"Content-Type": TYPE}
    lines = [f"POST {PATH}{route} HTTP/1.1", "Host: b", framed, *[f"{key}: {value}" for key, value in named.items()]]
    await client.send_raw("\r\n".join([*lines, "", ""]).encode())
    await send(client, first, chunked=length is None)
    return client


async def send(client, piece, *, chunked=False):
    await client.send_raw(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)


async def test_a_form_reaches_the_provider_before_its_end_whatever_its_length_and_route(running, provider):
    # a form reaches the provider before its end and byte for byte
    data = os.urandom(300_000)
    client = await begin(running, len(BEGIN + data + END))
    head, reader, writer = await provider.request()
    assert head.startswith("POST /v1/audio/transcriptions HTTP/1.1\r\n")
    assert f"Content-Length: {len(BEGIN + data + END)}\r\n" in head
    assert f"Content-Type: {TYPE}\r\n" in head
    assert await reader.readexactly(len(BEGIN)) == BEGIN
    await client.send_raw(data + END)
    assert await reader.readexactly(len(data + END)) == data + END
    writer.write(response())
    result = await client.rest(await client.head())
    assert (result.status, bytes(result.body), result.whole) == (200, ANSWER, True)
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["end_reason"]) == ("m", "completed")
    assert running.tokens(recorded)["input_tokens"] == 7
    # The connection is used again: the request was sent whole.
    client = await begin(running, len(BEGIN + END), first=BEGIN + END)
    assert await reader.readuntil(END) is not None
    writer.write(response())
    assert (await client.rest(await client.head())).status == 200
    await running.ended(2)
    await running.afresh()
    provider.hang_up()
    # a form of unknown length goes on in chunks
    client = await begin(running)
    head, reader, writer = await provider.request()
    assert "Transfer-Encoding: chunked\r\n" in head
    assert "Content-Length" not in head
    await send(client, b"sound" + END, chunked=True)
    await client.send_raw(b"0\r\n\r\n")
    received = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        received += (await reader.readexactly(size + 2))[:-2]
    assert received == BEGIN + b"sound" + END
    writer.write(response())
    assert (await client.rest(await client.head())).status == 200
    await running.ended(1)
    await running.afresh()
    provider.hang_up()
    # a form on a route that is passed on streams too
    client = await begin(running, len(BEGIN + END), "responses/input_tokens")
    head, reader, writer = await provider.request()
    assert head.startswith("POST /v1/responses/input_tokens ")
    assert await reader.readexactly(len(BEGIN)) == BEGIN
    await client.send_raw(END)
    assert await reader.readexactly(len(END)) == END
    writer.write(response())
    assert (await client.rest(await client.head())).status == 200


@pytest.mark.gen_test(timeout=60)
async def test_memory_is_bounded_whatever_the_size_and_though_the_provider_is_slow(running, provider):
    pieces, piece = 64, os.urandom(MIB)
    client = await begin(running, len(BEGIN) + pieces * MIB + len(END), "files")
    _, reader, writer = await provider.request()
    digest, sent = hashlib.sha256(), hashlib.sha256(BEGIN)

    async def upload():
        for _ in range(pieces):
            sent.update(piece)
            await client.send_raw(piece)
        sent.update(END)
        await client.send_raw(END)

    tracemalloc.start()
    try:
        uploading = asyncio.ensure_future(upload())
        left = len(BEGIN) + pieces * MIB + len(END)
        while left:
            data = await reader.read(2**18)
            digest.update(data)
            left -= len(data)
        await uploading
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert digest.digest() == sent.digest()
    assert peak < 8 * MIB  # the client and the provider of this test are in it
    writer.write(response(b'{"id": "file-1", "object": "file"}'))
    assert (await client.rest(await client.head())).status == 200
    await running.ended(1)


@pytest.mark.gen_test(timeout=60)
async def test_a_provider_that_takes_nothing_holds_the_client_back(running, provider):
    size = 64 * MIB
    client = await begin(running, len(BEGIN) + size + len(END), "files")
    _, reader, writer = await provider.request()
    reader._transport.pause_reading()
    sending = asyncio.ensure_future(client.send_raw(bytes(size) + END))
    (handler,) = running.bridge.lifecycle._under_way
    await until(lambda: handler.form.stream.wait_for_room() is not None)
    assert not sending.done()
    assert handler.form.stream.held_bytes == 0
    reader._transport.resume_reading()
    left = len(BEGIN) + size + len(END)
    while left:
        left -= len(await reader.read(MIB))
    await sending
    writer.write(response(b'{"id": "file-1", "object": "file"}'))
    assert (await client.rest(await client.head())).status == 200
    await running.ended(1)


async def test_the_model_may_stand_behind_the_file_and_is_waited_for(running, provider):
    body = FILE + b"sound\r\n" + field(b"model", b"late").removesuffix(b"\r\n")
    client = await begin(running, len(body + END), first=body)
    await until(lambda: running.bridge.overload.holding == 1)
    assert provider.connections.empty()
    await client.send_raw(END)
    _, reader, writer = await provider.request()
    assert await reader.readexactly(len(body + END)) == body + END
    writer.write(response())
    assert (await client.rest(await client.head())).status == 200
    (recorded,) = await running.ended(1)
    assert recorded["model"] == "late"


@pytest.mark.bridge(max_body_bytes=1000, max_form_bytes=3000)
async def test_no_more_is_held_than_a_body_may_have_and_no_form_is_larger_than_allowed(running, provider):
    client = await begin(running, first=FILE + bytes(2000))
    refused = await client.rest(await client.head())
    assert (refused.status, json.loads(refused.body)["message"]) == (413, incoming_form.MODEL_BEHIND_FILE.format(1000))
    client = await begin(running, 3001)
    assert (await client.rest(await client.head())).status == 413
    assert provider.connections.empty()
    client = await begin(running)
    _, reader, _ = await provider.request()
    await send(client, bytes(3001), chunked=True)
    refused = await client.rest(await client.head())
    assert (refused.status, refused.header("Connection")) == (413, "close")
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["error"]["type"]) == ("client_disconnected", "invalid_request")
    await until(lambda: running.bridge.overload.holding == 0)


async def test_a_form_that_is_none_names_two_models_or_may_not_be_sent_is_refused(running, provider):
    # a model that is named twice never reaches the provider whole
    client = await begin(running, len(BEGIN) + 5000)
    _, reader, _ = await provider.request()
    await client.send_raw(b"sound\r\n" + field(b"model", b"other"))
    refused = await client.rest(await client.head())
    assert refused.status == 400
    assert "more than once" in json.loads(refused.body)["message"]
    assert len(await reader.read()) < len(BEGIN) + 5000
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["end_reason"]) == ("m", "client_disconnected")
    assert "more than once" in recorded["error"]["message"]
    await running.afresh()
    # nor does one that names another model when policies have been asked, which only matters where there is one
    running.bridge.policies.put(KeptPolicy(PolicyHolder(Level.EVERYONE), SharedPolicy(models=Models(allow=["m"])), "1"))
    client = await begin(running, len(BEGIN) + 5000)
    _, reader, _ = await provider.request()
    await client.send_raw(b"sound\r\n" + field(b"svg[model]", b"other") + b"--b\r\n")
    refused = await client.rest(await client.head())
    said = incoming_form.OTHER_BEHIND_FILE.format("svg[model]")
    assert (refused.status, json.loads(refused.body)["message"]) == (400, said)
    assert len(await reader.read()) < len(BEGIN) + 5000
    running.bridge.policies.put(KeptPolicy(PolicyHolder(Level.EVERYONE), SharedPolicy(), "2"))
    await running.afresh()
    # a form that is none or has no end is refused
    client = await begin(running, 500, first=b"no form")
    assert (await client.rest(await client.head())).status == 400
    assert provider.connections.empty()
    client = await begin(running, len(BEGIN) + 4)
    _, reader, _ = await provider.request()
    await client.send_raw(b"rest")
    assert (await client.rest(await client.head())).status == 400
    await reader.read()
    (recorded,) = await running.ended(1)
    assert recorded["error"]["message"] == "the form has a part without an end"
    await running.afresh()
    # a form is not sent where it is not admitted
    client = await begin(running, len(BEGIN + END), headers={"Authorization": "Bearer nobody"})
    assert (await client.rest(await client.head())).status == 401
    assert provider.connections.empty()


async def test_a_form_ends_early_with_its_client_its_provider_or_its_time(running, provider, monkeypatch):
    # a client that leaves frees the provider at once
    client = await begin(running, 10_000)
    _, reader, _ = await provider.request()
    assert await reader.readexactly(len(BEGIN)) == BEGIN
    client.close()
    assert await reader.read() == b""
    (recorded,) = await running.ended(1)
    assert (recorded["status"], recorded["end_reason"]) == ("failed", "client_disconnected")
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert running.bridge.overload.holding == 0
    await running.afresh()
    # a provider that answers early is heard and gets no more
    refusal = b'{"error": {"message": "too large", "type": "invalid_request_error"}}'
    client = await begin(running, 10 * MIB)
    _, reader, writer = await provider.request()
    await reader.readexactly(len(BEGIN))
    writer.write(response(refusal, 413))
    result = await client.rest(await client.head())
    assert (result.status, bytes(result.body), result.header("Connection")) == (413, refusal, "close")
    with suppress(ConnectionError):
        while await reader.read(MIB):
            pass
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["error"]["message"]) == ("upstream_error", "too large")
    await running.afresh()
    # a provider that hangs up in the middle is asked once
    client = await begin(running, 10 * MIB)
    _, _, writer = await provider.request()
    writer.transport.abort()
    assert (await client.rest(await client.head())).status == 502
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_unreachable"
    assert provider.connections.empty()
    await running.afresh()
    # a form that comes too slowly is given up
    client = await begin(running, 10_000)
    _, reader, _ = await provider.request()
    monkeypatch.setattr("handlers.dataplane.proxy.PIECE_SECONDS", 0.05)
    await client.send_raw(b"x")
    refused = await client.rest(await client.head())
    assert refused.status == 408
    assert await reader.read() == BEGIN + b"x"
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "client_disconnected"


@pytest.mark.bridge(openai_key=("sk-first-key-0123456789", "sk-second-key-012345678"))
async def test_nothing_of_a_form_is_sent_twice_and_the_next_one_has_the_other_key(running, provider):
    keys = []
    for status in (429, 200):
        client = await begin(running, len(BEGIN + END), first=BEGIN + END)
        head, reader, writer = await provider.request()
        keys.append(next(line for line in head.split("\r\n") if line.startswith("Authorization")))
        await reader.readexactly(len(BEGIN + END))
        writer.write(response(b"{}", status).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert (await client.rest(await client.head())).status == status
        writer.close()
    assert keys == ["Authorization: Bearer sk-first-key-0123456789", "Authorization: Bearer sk-second-key-012345678"]
    assert provider.connections.empty()
    await running.ended(2)


@pytest.mark.bridge(upstream_idle_timeout=timedelta(milliseconds=50))
async def test_a_slow_client_is_no_silence_of_the_provider(running, provider):
    client = await begin(running, len(BEGIN + END))
    _, reader, writer = await provider.request()
    connection = next(iter(running.bridge.upstream._connections._open))
    checks = []
    checked = connection._idle._reached
    connection._idle._reached = lambda: checks.append(checked())
    await until(lambda: len(checks) >= 3)
    connection._idle._seconds = connection._idle_timeout = 60
    await client.send_raw(END)
    assert await reader.readexactly(len(BEGIN + END)) == BEGIN + END
    writer.write(response())
    assert (await client.rest(await client.head())).status == 200
    await running.ended(1)
