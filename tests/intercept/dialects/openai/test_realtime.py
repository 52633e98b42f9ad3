import json

from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.openai.realtime import (
    RealtimeCalls,
    RealtimeClientEvent,
    RealtimeServerEvent,
    read_client_event,
    read_server_event,
    stream_reader,
)
from intercept.formats.json_text import MAX_MEMBERS
from intercept.records import ProviderError, Reading, TokenUsage, ToolUsage
from tests.cases import for_each

USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
TOKENS = TokenUsage(
    provider_response_id="resp_1", input_tokens=68, output_tokens=121, cache_read_input_tokens=64, usage=USAGE
)


def done(status="completed", **fields):
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, "usage": USAGE, **fields}}


def read(*events):
    reader = stream_reader()
    for event in events:
        reader.feed(b"data: %b\n\n" % json.dumps(event).encode())
    return reader.result()


def server(kind, response=None, **fields):
    named = {"response": {"id": response}} if response else {}
    return read_server_event(json.dumps({"type": kind, **named, **fields}).encode())


def client(kind, **fields):
    return read_client_event(json.dumps({"type": kind, **fields}).encode())


def test_a_response_has_its_tokens_without_the_cached_ones_and_its_calls():
    call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'}
    begun = {"type": "response.created", "response": {"id": "resp_1"}}
    delta = {"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "AAAA"}
    tool = ToolUsage(
        provider_response_id="resp_1", provider_tool_call_id="call_1", tool="weather", input='{"city":"Oslo"}'
    )
    expected = Reading(response_id="resp_1", complete=True, token_usages=(TOKENS,), tool_usages=(tool,))
    assert read(begun, delta, done(output=[{"type": "message"}, call])) == expected


def test_a_failed_response_has_its_error():
    details = {"type": "failed", "error": {"type": "server_error", "code": "x", "message": "broken"}}
    assert read(done("failed", status_details=details)).error == ProviderError(type="server_error", message="broken")
    assert read(done("failed")).error.message == "the response failed"
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    assert read(error).error == ProviderError(type="invalid_request_error", message="no")


def test_a_response_that_is_cut_is_not_complete():
    assert not read({"type": "response.created", "response": {"id": "resp_1"}}).complete


def test_a_response_belongs_to_the_oldest_request_and_others_the_provider_began():
    calls = RealtimeCalls("m")
    calls.begin("a", "first")
    calls.begin("b", "second")
    assert calls.receive(server("response.created", "resp_1")) == ("first", False)
    assert calls.receive(server("response.output_text.delta", response_id="resp_1")) == ("first", False)
    assert calls.receive(server("response.created", "resp_2")) == ("second", False)
    assert calls.receive(server("response.created", "resp_3")) == (None, False)
    calls.begin_by_provider("resp_3", "by itself")
    assert len(calls) == 3
    assert calls.receive(server("response.done", "resp_3")) == ("by itself", True)
    calls.forget("by itself")
    assert calls.receive(server("response.done", "resp_1")) == ("first", True)
    calls.forget("first")
    assert (calls.calls, len(calls)) == (["second"], 1)
    assert calls.receive(server("rate_limits.updated")) == (None, False)


def test_an_error_belongs_to_the_request_that_it_names():
    calls = RealtimeCalls("m")
    calls.begin("a", "first")
    calls.begin("b", "second")
    assert calls.receive(server("error", error={"event_id": "b"})) == ("second", True)
    assert calls.receive(server("error", error={"event_id": "update"})) == (None, True)
    assert calls.receive(server("error", error={"event_id": None})) == ("first", True)


def test_what_is_recorded_of_the_next_response_is_said_before_it():
    calls = RealtimeCalls("asked")
    calls.note(server("session.created", session={"id": "sess_1", "model": "gpt-realtime"}))
    content = [{"type": "input_text", "text": "Hello"}, {"type": "input_audio", "audio": "AA"}]
    calls.note(client("conversation.item.create", item={"type": "message", "role": "user", "content": content}))
    create = client("response.create", response={"max_output_tokens": 99})
    assert create.is_request
    summary = calls.summarize(create)
    assert (summary.model, summary.user_prompt.prompt, summary.max_output_tokens) == ("gpt-realtime", "Hello", 99)
    assert (summary.conversation_id, summary.stream, summary.answered_tool_call_id) == ("sess_1", True, None)
    calls.note(client("conversation.item.create", item={"type": "function_call_output", "call_id": "call_1"}))
    summary = calls.summarize(client("response.create", response={"max_output_tokens": "inf"}))
    assert summary.odd_count == ""
    assert (summary.user_prompt, summary.max_output_tokens, summary.answered_tool_call_id) == (None, None, "call_1")
    summary = calls.summarize()
    assert (summary.user_prompt, summary.answered_tool_call_id) == (None, None)
    assert RealtimeCalls("").summarize().model == "default"


@for_each(
    ("response", "limit", "odd"),
    (b'{"max_output_tokens":"64000"}', None, "max_output_tokens"),
    (b'{"max_output_tokens":6.4e4}', None, "max_output_tokens"),
    (b'{"max_output_tokens":5,"Max_Output_Tokens":9}', 9, "Max_Output_Tokens"),
    (b'{"max_output_tokens":"inf","max_output_tokens":5}', 5, "max_output_tokens"),
    (b'{"max_output_tokens":5,"x":{"max_output_tokens":"a"}}', 5, ""),
    (b"{" + b'"a":1,' * MAX_MEMBERS + b'"max_output_tokens":5}', None, "response"),
    (b"null", None, ""),
)
def test_a_limit_that_can_be_read_in_two_ways_is_named(response, limit, odd):
    event = read_client_event(b'{"type":"response.create","response":%b}' % response)
    summary = RealtimeCalls("m").summarize(event)
    assert (summary.max_output_tokens, summary.odd_count) == (limit, odd)


@given(
    st.one_of(
        st.binary(max_size=100), st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
    )
)
def test_whatever_comes_is_an_event_or_none(message):
    event = read_client_event(message)
    assert event is None or isinstance(event, RealtimeClientEvent)
    assert isinstance(read_server_event(message), RealtimeServerEvent)
