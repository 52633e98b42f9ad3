from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

from handlers.dataplane.services.sockets.websocket import CLIENT, SERVER, WebSocket, accept_key, is_key, new_key
from tests.cases import for_each

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


@for_each(
    ("sent", "code"),
    [
        (frames((Opcode.BINARY, b"x")), 1003),
        (frames((Opcode.TEXT, b"\xff")), 1007),
        (frames((Opcode.TEXT, b"x" * (LIMIT + 1))), 1009),
        (frames((Opcode.TEXT, b"x" * LIMIT, False), (Opcode.CONT, b"x")), 1009),
        (frames((Opcode.CONT, b"x")), 1002),
        (frames((Opcode.TEXT, b"x"), mask=False), 1002),
        (b"\xff\xff", 1002),
    ],
    ids=["binary", "not UTF-8", "too large", "too large in fragments", "no beginning", "not masked", "no frame"],
)
def test_what_breaks_the_protocol_closes_it_with_a_code(sent, code):
    server = WebSocket(SERVER, LIMIT)
    assert server.feed(sent) == []
    assert (server.is_open, server.close_code) == (False, code)
    reader = Protocol(CLIENT)
    reader.receive_data(server.drain_output())
    assert reader.close_rcvd is not None
    assert reader.close_rcvd.code == code
    assert server.feed(frames((Opcode.TEXT, b"more"))) == []


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


def test_a_close_without_a_code_stays_without_one():
    client, server = WebSocket(CLIENT, LIMIT), WebSocket(SERVER, LIMIT)
    client.close(1005, "not sent")
    server.feed(client.drain_output())
    assert (server.close_code, server.close_reason) == (1005, "")


def test_a_connection_that_breaks_is_closed_without_a_code():
    server = WebSocket(SERVER, LIMIT)
    server.feed(frames((Opcode.TEXT, b"beginning", False)))
    server.feed_eof()
    server.feed_eof()
    assert (server.is_open, server.feed(b"x"), server.close_code) == (False, [], None)


def test_the_accept_key_is_that_of_the_standard():
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


@for_each("text", ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "!" * 24])
def test_a_key_is_sixteen_bytes_in_base64(text):
    assert not is_key(text)
    assert is_key(new_key())
