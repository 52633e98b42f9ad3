"""The two ends of a relayed WebSocket: what they hold, and what they close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.iostream import StreamClosedError
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER

from handlers.dataplane.services.sockets import hops
from handlers.dataplane.services.sockets.hops import MAX_HELD_BYTES, ClientHop, ProviderHop, WebSocket
from tests.handlers.dataplane.services.sockets.socket_client import lets_go
from tests.handlers.dataplane.services.sockets.socket_provider import USAGE, create, event, events


class Cycle:
    """A connection whose client takes what is written when the test says so."""

    receiver: Callable[[bytes], None]

    def __init__(self):
        self.is_reading = True
        self.taken = asyncio.get_running_loop().create_future()
        self._client = WebSocket(CLIENT, 100)

    def write(self, _):
        return self.taken

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def send(self, message):
        """Let the client send a message."""
        self._client.send(message)
        self.receiver(self._client.drain_output())

    def close(self):
        """Let the client send a close."""
        self._client.close(1000)
        self.receiver(self._client.drain_output())


async def test_a_client_that_is_faster_than_the_provider_is_not_read_on():
    cycle = Cycle()
    hop, half = ClientHop(cycle, MAX_HELD_BYTES), b"x" * (MAX_HELD_BYTES // 2)
    reading = []
    for message in (half, half, b"y"):
        cycle.send(message)
        reading.append(cycle.is_reading)
    assert reading == [True, True, False]
    assert (await hop.receive(nullcontext), cycle.is_reading) == (half, True)
    assert [await hop.receive(nullcontext), await hop.receive(nullcontext)] == [half, b"y"]


async def test_until_a_close_is_answered_what_a_client_sends_is_read_and_dropped():
    cycle = Cycle()
    cycle.taken.set_result(None)
    hop = ClientHop(cycle, 4 * MAX_HELD_BYTES)
    large = b"x" * (MAX_HELD_BYTES + 1)
    cycle.receiver(Frame(Opcode.TEXT, large, fin=False).serialize(mask=True))
    assert not cycle.is_reading
    hop.socket.close(1000)
    closing = asyncio.create_task(hop.wait_closed())
    for last in (False, True):
        await asyncio.sleep(0)
        assert (cycle.is_reading, closing.done()) == (True, False)
        cycle.receiver(Frame(Opcode.CONT, large, fin=last).serialize(mask=True))
    cycle.close()
    await closing


def test_what_has_arrived_of_a_provider_is_what_is_held_and_what_its_connection_has():
    provider, arrived = WebSocket(SERVER, 100), []
    hop = ProviderHop(SimpleNamespace(buffered=lambda: b"".join(arrived)))
    provider.send(b"a")
    hop._receive_bytes(provider.drain_output())
    provider.send(b"b")
    arrived.append(provider.drain_output())
    assert hop.take_arrived() == [b"a", b"b"]
    arrived.clear()
    assert hop.take_arrived() == []


async def test_a_client_that_takes_nothing_is_not_read_on_until_it_does():
    cycle = Cycle()
    hop = ClientHop(cycle, 100)
    assert hop.is_drained
    sending = asyncio.create_task(hop.send(b"a"))
    await asyncio.sleep(0)
    cycle.send(b"b")
    assert (cycle.is_reading, hop.is_drained, sending.done()) == (False, False, False)
    cycle.taken.set_result(None)
    await sending
    assert (cycle.is_reading, hop.is_drained) == (True, True)


async def test_what_a_client_that_left_was_sent_is_not_taken_and_waits_for_nobody():
    cycle = Cycle()
    hop = ClientHop(cycle, 100)
    sending = asyncio.create_task(hop.send(b"a"))
    await asyncio.sleep(0)
    cycle.taken.set_exception(StreamClosedError())
    await sending
    assert not hop.is_drained


async def test_a_binary_message_closes_with_1003_and_one_without_end_both_sides_with_1009(
    running, provider, opened, monkeypatch, again
):
    # a binary message closes with 1003
    client, _ = await opened()
    await client.send(b"binary")
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1003
    await again()
    # a message of the provider without end closes both sides with 1009
    monkeypatch.setattr(hops, "MAX_PROVIDER_MESSAGE_BYTES", 10_000)
    client, upstream = await opened()
    await client.send(create("Hello"))
    await provider.received.get()
    await upstream.send(event("response.created", "resp_1", filling="x" * 10_001))
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, (await provider.closed.get())[0]) == (1009, 1009)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], lets_go(running)) == ("upstream_truncated", True)


@pytest.mark.parametrize("is_behind", [False, True])
async def test_usage_counts_though_the_client_does_not_take_the_event_that_tells_it(
    running, provider, opened, monkeypatch, is_behind
):
    monkeypatch.setattr(hops, "STALL_SECONDS", 0.05)
    client, upstream = await opened()
    await client.send(create("one"))
    await provider.received.get()
    client.transport.pause_reading()
    created, _, completed = events("resp_1")
    await upstream.send(created)
    filling = "x" * 12_000_000
    if is_behind:  # they arrive together
        upstream.protocol.send_text(event("response.in_progress", "resp_1", filling=filling).encode())
        upstream.protocol.send_text(completed.encode())
        upstream.send_data()
    else:
        await upstream.send(f'{completed[:-1]}, "filling": "{filling}"}}')
    (call,) = await running.ended(1)
    assert [usage["output_tokens"] for usage in call["token_usages"]] == [USAGE["output_tokens"]]
    assert lets_go(running)
    client.transport.abort()  # closing it would wait for what it does not read


async def test_a_client_that_takes_nothing_is_given_up(running, provider, opened, monkeypatch):
    monkeypatch.setattr(hops, "STALL_SECONDS", 0.05)
    client, upstream = await opened()
    await client.send(create("one"))
    await provider.received.get()
    client.transport.pause_reading()
    with suppress(ConnectionClosed):
        for number in range(64):
            await upstream.send(event("response.output_text.delta", delta=str(number) * 500_000))
    await provider.closed.get()
    (call,) = await running.ended(1)
    assert call["end_reason"] == "client_disconnected"
    assert lets_go(running)
    client.transport.abort()  # closing it would wait for what it does not read


LIMIT = 1000


def frames(*parts, mask=True):
    """The bytes of frames: pairs of opcode and data, or triples with whether each ends its message."""
    return b"".join(Frame(part[0], part[1], *part[2:]).serialize(mask=mask) for part in parts)


@given(st.lists(st.text(max_size=40), max_size=8), st.data())
def test_messages_are_what_was_sent_however_their_bytes_are_cut(texts, data):
    client, server = WebSocket(CLIENT, LIMIT), WebSocket(SERVER, LIMIT)
    for text in texts:
        client.send(text.encode())
    sent = client.drain_output()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert [message.decode() for piece in pieces for message in server.feed(piece)] == texts
    assert (server.is_open, server.close_code, server.drain_output()) == (True, None, b"")


def test_fragments_are_joined_and_pings_between_them_are_answered():
    server = WebSocket(SERVER, LIMIT)
    sent = frames((Opcode.TEXT, b"one ", False), (Opcode.PING, b"hi"), (Opcode.CONT, b"two"))
    assert server.feed(sent) == [b"one two"]
    assert server.drain_output() == frames((Opcode.PONG, b"hi"), mask=False)


def test_a_close_is_answered_and_its_code_and_reason_are_kept():
    client, server = WebSocket(CLIENT, LIMIT), WebSocket(SERVER, LIMIT)
    client.close(4001, "that was all")
    assert server.feed(client.drain_output()) == []
    assert (server.is_open, server.close_code, server.close_reason) == (False, 4001, "that was all")
    client.feed(server.drain_output())
    assert (client.close_code, client.close_reason) == (4001, "that was all")
    server.send(b"late")
    server.ping()
    server.close(1000)
    assert server.drain_output() == b""


def test_messages_before_a_close_are_kept_if_they_come_together():
    client, server = WebSocket(CLIENT, LIMIT), WebSocket(SERVER, LIMIT)
    client.send(b"last words")
    client.close(1000)
    assert server.feed(client.drain_output()) == [b"last words"]
    assert not server.is_open
