import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.openai.responses_socket import (
    Lanes,
    ResponsesClientEvent,
    ServerEvent,
    read_client_event,
    read_server_event,
)
from tests.cases import for_each


@for_each(
    ("message", "event", "is_request"),
    (b'{"type":"response.create","model":"m"}', ResponsesClientEvent("response.create"), True),
    (b'{"type":"response.create","generate":false}', ResponsesClientEvent("response.create", generate=False), True),
    (b'{"type":"response.steer","stream_id":"a"}', ResponsesClientEvent("response.steer", "a"), True),
    (b'{"type":"response.processed"}', ResponsesClientEvent("response.processed"), False),
    (b'{"type":7}', ResponsesClientEvent(), False),
)
def test_what_a_client_sends_is_told_apart(message, event, is_request):
    assert (read_client_event(message), event.is_request) == (event, is_request)


@for_each("message", b"", b"[]", b"{}", b"nothing", b'"text"', b'{"type":NaN}', b'{"type":7,"Type":"response.create"}')
def test_what_is_no_event_is_none(message):
    assert read_client_event(message) is None
    assert read_server_event(message) == ServerEvent()


def test_the_response_of_an_event_is_found_in_either_place():
    assert read_server_event(b'{"type":"x","response":{"id":"r1"}}').responds_to == "r1"
    assert read_server_event(b'{"type":"x","response_id":"r2"}').responds_to == "r2"
    assert read_server_event(b'{"type":"error","status":400}').responds_to is None


def event(kind, response=None, lane=None, *, status=None, previous=None, steer=None):
    fields = {"type": kind, "stream_id": lane, "status": status}
    fields |= {"response": {"id": response, "previous_response_id": previous}} if response else {}
    fields |= {"steer": {"previous_response_id": steer}} if steer else {}
    return read_server_event(json.dumps(fields).encode())


def begin(lanes, lane, call, kind="response.create", previous=None):
    lanes.begin(lane, call, ResponsesClientEvent(kind, lane, previous_response_id=previous))


def receive(lanes, event):
    """As a session does: what has ended is forgotten."""
    call, is_end = lanes.receive(event)
    if is_end and call is not None:
        lanes.forget(call)
    return call, is_end


def test_a_steering_request_is_in_the_lane_of_its_response():
    lanes = Lanes()
    begin(lanes, "a", "first")
    receive(lanes, event("response.created", "r1", "a"))
    assert lanes.lane_of(ResponsesClientEvent("response.steer", previous_response_id="r1")) == "a"
    assert lanes.lane_of(ResponsesClientEvent("response.steer", previous_response_id="r9")) == ""
    assert lanes.lane_of(ResponsesClientEvent("response.create", "b", previous_response_id="r1")) == "b"


@pytest.mark.parametrize("kind", ["response.steer.failed", "response.steer.pending"])
def test_a_steering_request_without_a_successor_leaves_the_next_request_its_own(kind):
    lanes = Lanes()
    begin(lanes, "", "first")
    receive(lanes, event("response.created", "r1"))
    begin(lanes, "", "steering", "response.steer", "r1")
    assert receive(lanes, event("response.completed", "r1")) == ("first", True)
    assert receive(lanes, event(kind, steer="r1")) == ("steering", True)
    assert receive(lanes, event(kind, steer="r1")) == (None, True)
    begin(lanes, "", "next", previous="r1")
    assert receive(lanes, event(kind, steer="r1")) == (None, True)
    assert receive(lanes, event("response.created", "r2", previous="r1")) == ("next", False)


def test_a_response_belongs_to_the_request_that_continues_the_same_one():
    lanes = Lanes()
    begin(lanes, "", "first")
    receive(lanes, event("response.created", "r1"))
    for call in ("steering", "again"):  # both have one successor
        begin(lanes, "", call, "response.steer", "r1")
    assert receive(lanes, event("response.incomplete", "r1")) == ("first", True)
    assert receive(lanes, event("response.created", "r2", previous="r1")) == ("steering", False)
    assert receive(lanes, event("response.completed", "r2")) == ("steering", True)
    begin(lanes, "", "next", previous="r2")
    assert receive(lanes, event("response.created", "r3", previous="r2")) == ("next", False)


def test_of_the_id_of_a_response_no_more_is_held_than_of_any_name():
    lanes = Lanes()
    begin(lanes, "", "first")
    begin(lanes, "", "second", previous="r" * 1000)
    long = "i" * 1000
    assert receive(lanes, event("response.created", long, previous="r" * MAX_NAME)) == ("second", False)
    assert list(lanes._by_response) == [long[:MAX_NAME]]
    assert lanes.lane_of(ResponsesClientEvent("response.steer", "a", previous_response_id=long)) == ""
    assert receive(lanes, event("response.completed", long)) == ("second", True)


def test_an_error_ends_the_request_that_has_no_response_yet():
    lanes = Lanes()
    begin(lanes, "", "running")
    receive(lanes, event("response.created", "r1"))
    begin(lanes, "", "refused")
    assert receive(lanes, event("error", status=400)) == ("refused", True)
    assert receive(lanes, event("error", status=500)) == ("running", True)
    assert receive(lanes, event("error", status=500)) == (None, True)


def test_events_of_nobody_belong_to_no_call():
    lanes = Lanes()
    assert receive(lanes, event("codex.rate_limits")) == (None, False)
    assert receive(lanes, event("response.created", "r9")) == (None, False)
    assert receive(lanes, event("response.completed", "r9")) == (None, True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_each_call_gets_its_own_events_and_one_end(steps):
    """Each step asks for a response in a lane, or lets the oldest of that lane be made and end."""
    lanes, requested, ended = Lanes(), defaultdict(list), []
    for number, (lane, asks) in enumerate(steps):
        if asks or not requested[lane]:
            begin(lanes, lane, number)
            requested[lane].append(number)
        else:
            oldest = requested[lane].pop(0)
            assert receive(lanes, event("response.created", f"r{oldest}", lane)) == (oldest, False)
            assert receive(lanes, event("response.output_text.delta", lane=lane)) == (oldest, False)
            assert receive(lanes, event("response.completed", f"r{oldest}", lane)) == (oldest, True)
            ended.append(oldest)
    assert sorted(lanes.calls) == sorted(number for lane in requested.values() for number in lane)
    assert len(ended) == len(set(ended))
