import asyncio

import pytest

from upstream.body_stream import BodyStream


class PieceWriter:
    def __init__(self, *, is_writable=True):
        self.is_writable = is_writable
        self.pieces = []
        self.ended = False
        self.error = None

    def send_piece(self, piece):
        self.pieces.append(piece)

    def end_pieces(self):
        self.ended = True

    def give_up(self, error):
        self.error = error


@pytest.mark.gen_test
async def test_what_came_before_the_connection_is_sent_first_and_once():
    stream, writer = BodyStream(4), PieceWriter()
    stream.feed(b"a")
    stream.feed(b"b")
    assert (stream.held_bytes, stream.has_begun) == (2, False)
    waiting = stream.wait_for_room()
    assert waiting is stream.wait_for_room() is not None
    stream.send_to(writer)
    assert (writer.pieces, stream.held_bytes, stream.has_begun, waiting.done()) == ([b"a", b"b"], 0, True, True)
    stream.feed(b"c")
    assert stream.wait_for_room() is None
    assert (stream.is_sent, writer.ended) == (False, False)
    stream.end()
    stream.end()
    assert (writer.pieces, writer.ended, stream.is_sent) == ([b"a", b"b", b"c"], True, True)


@pytest.mark.gen_test
async def test_a_body_that_was_whole_before_is_ended_when_it_is_sent():
    stream, writer = BodyStream(1), PieceWriter()
    stream.feed(b"a")
    stream.end()
    assert not stream.is_sent
    stream.send_to(writer)
    assert (writer.pieces, writer.ended, stream.is_sent) == ([b"a"], True, True)


@pytest.mark.gen_test
async def test_a_connection_that_takes_nothing_is_waited_for():
    stream, writer = BodyStream(None), PieceWriter(is_writable=False)
    stream.send_to(writer)
    stream.feed(b"a")
    waiting = stream.wait_for_room()
    assert not waiting.done()
    writer.is_writable = True
    stream.resume()
    assert waiting.done()
    assert stream.wait_for_room() is None


@pytest.mark.gen_test
async def test_the_first_failure_is_told_to_the_connection():
    stream, writer, first = BodyStream(None), PieceWriter(), ValueError("first")
    stream.fail(first)
    stream.fail(ValueError("second"))
    assert stream.failure is first
    stream.send_to(writer)
    stream.fail(ValueError("third"))
    assert writer.error is first


@pytest.mark.gen_test
async def test_a_closed_stream_holds_nobody_back_and_sends_nothing():
    stream, writer = BodyStream(None), PieceWriter(is_writable=False)
    stream.feed(b"a")
    waiting = stream.wait_for_room()
    stream.close()
    assert (waiting.done(), stream.held_bytes, stream.wait_for_room()) == (True, 0, None)
    stream.feed(b"b")
    stream.end()
    assert (writer.pieces, stream.held_bytes, stream.is_sent) == ([], 0, False)
    await asyncio.sleep(0)
