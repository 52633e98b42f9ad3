import time
import tracemalloc

import pytest

from intercept.catalog import BY_PATH
from intercept.json_text import read_object
from intercept.readers import MAX_BODY_BYTES, READ_TOGETHER_BYTES, BodyReader, StreamReader
from intercept.records import Reading
from intercept.sse import MAX_EVENT_BYTES


class Names(StreamReader):
    """Takes each event's name for the response's id."""

    def _take(self, event):
        self._draft.identify(event.name)


def take_id(body, draft):
    told = read_object(body)
    draft.identify(told.get("id"))
    return bool(told)


def test_a_stream_is_read_event_by_event():
    reader = Names()
    reader.feed(b"event: first\nda")
    assert reader.result() == Reading()
    reader.feed(b"ta: x\n\nevent: second\ndata: x\n\n")
    assert reader.result() == Reading(response_id="first")


def test_events_that_come_one_by_one_are_read_together_and_the_rest_of_them_when_it_is_asked():
    taken = []

    class Noted(StreamReader):
        def _take(self, event):
            taken.append(event.data)

    reader = Noted()
    event, data = b"data: " + b"x" * 56 + b"\n\n", b"x" * 56
    together = READ_TOGETHER_BYTES // len(event)
    for _ in range(together - 1):
        reader.feed(event)
    assert taken == []
    reader.feed(event)
    assert taken == [data] * together
    reader.feed(event)
    assert reader.result() == Reading()
    assert taken == [data] * (together + 1)


def test_a_stream_in_tiny_pieces_takes_no_more_memory_than_its_bytes():
    reader = Names()
    tracemalloc.start()
    try:
        for number in range(READ_TOGETHER_BYTES // 2 - 1):
            reader.feed(number.to_bytes(2))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * READ_TOGETHER_BYTES


def test_an_oversized_event_is_marked_in_the_reading():
    reader = Names()
    reader.feed(b"event: first\ndata: ")
    for _ in range(MAX_EVENT_BYTES // 2**20 + 1):
        reader.feed(b"x" * 2**20)
    reader.feed(b"\n\n")
    assert reader.result() == Reading(response_id="first", truncated=True)


HOSTILE = {
    "escapes": b'{"delta":"' + rb"\n" * 2**20 * 7 + rb'\ud83d"}',
    "halves": b'{"delta":"' + rb"\ud83d" * 2**20 * 2 + rb'"}',
    "objects": b'{"choices":[' + b"{}," * 2**20 * 4 + b"{}]}",
    "numbers": b'{"usage":[' + b"0," * 2**20 * 7 + b"0]}",
    "names": b'{"usage":{' + b'"":0,' * 2**20 * 2 + b'"":0}}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("api", BY_PATH.values(), ids=lambda api: api.name)
def test_an_event_or_a_body_full_of_values_is_let_go_unread(api, data):
    stream, body = api.stream_reader(), api.body_reader()
    for reader, text in ((stream, b"data: " + data + b"\n\n"), (body, data)):
        began = time.process_time()
        reader.feed(text)
        reading = reader.result()
        assert time.process_time() - began < 0.1
        assert reading.truncated
    assert body.result() == Reading(open_ended=True, truncated=True)


@pytest.mark.parametrize("api", BY_PATH.values(), ids=lambda api: api.name)
def test_a_large_event_that_is_an_image_is_read(api):
    reader = api.body_reader()
    reader.feed(b'{"image":"' + b"x" * 12 * 2**20 + b'","id":"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)


def test_a_body_is_read_when_it_is_whole():
    reader = BodyReader(take_id)
    reader.feed(b'{"id":')
    assert reader.result() == Reading()
    reader.feed(b'"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)
    reader.feed(b" trailing")
    assert reader.result() == Reading()


def test_a_body_is_read_once_however_often_it_is_asked():
    taken = []
    reader = BodyReader(lambda body, draft: bool(taken.append(body)) or take_id(body, draft))
    reader.feed(b'{"id":"r"}')
    assert reader.result() is reader.result()
    assert taken == [b'{"id":"r"}']


@pytest.mark.parametrize("size", [10, 11])
def test_a_body_beyond_the_largest_is_let_go_and_opaque(size):
    reader = BodyReader(take_id, max_body_bytes=10)
    for _ in range(size - 10):
        reader.feed(b" ")
    reader.feed(b'{"id":"r"}')
    assert reader.result() == (Reading(response_id="r", complete=True) if size == 10 else Reading(open_ended=True))
    reader.feed(b"{}")
    assert reader.result() == Reading(open_ended=True)
    assert len(reader._body) == 0


def test_a_whole_response_with_images_fits():
    reader = BodyReader(take_id)
    reader.feed(b'{"id":"r","image":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}')
    assert reader.result() == Reading(response_id="r", complete=True)
