from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from handlers.dataplane.services.sockets.hops import CLIENT, SERVER, WebSocket

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
