import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stand.conversations import CONVERSATIONS, SENT_AT, CallSpec
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES

APIS = {"chat": CHAT_COMPLETIONS, "responses": RESPONSES, "messages": MESSAGES}
each_api = pytest.mark.parametrize("name", CONVERSATIONS)


@given(st.sampled_from(list(CONVERSATIONS)), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_the_upstream_reads_from_a_request_what_it_asks_for(name, events, gap_ms, wait_ms):
    spec = CallSpec(name, events, gap_ms, wait_ms)
    path = "/anywhere/v1" + CONVERSATIONS[name].path
    rewritten = json.dumps(json.loads(spec.request_body()), indent=1, sort_keys=True).encode()
    assert CallSpec.of(path, spec.request_body()) == spec
    assert CallSpec.of(path, rewritten) == spec


@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_request_with_history_is_as_long_as_wanted_and_asks_the_same(name):
    plain, long = CallSpec(name, 7, 8, 9), CallSpec(name, 7, 8, 9, history_bytes=200_000)
    request = json.loads(long.request_body())
    assert 200_000 < len(long.request_body()) < 210_000
    assert [message["role"] for message in request["messages"][-3:]] == ["user", "assistant", "user"]
    assert CallSpec.of("/v1" + CONVERSATIONS[name].path, long.request_body()) == plain
    assert APIS[name].parse_request(long.request_body()).stream


@pytest.mark.parametrize(("path", "body"), [("/v1/models", b"bench-1x1+1"), ("/v1/responses", b"{}")])
def test_a_request_of_another_kind_is_not_understood(path, body):
    with pytest.raises(ValueError, match="not a benchmark's request"):
        CallSpec.of(path, body)


@each_api
def test_the_bridge_understands_what_is_asked_and_answered(name):
    api, one = APIS[name], CONVERSATIONS[name]
    assert api.parse_request(CallSpec(name, 3).request_body()).stream
    assert not api.parse_request(CallSpec(name).request_body()).stream
    stream, body = api.stream_reader(), api.body_reader()
    for piece in (one.opening, one.event % 1, one.event % 2, one.closing):
        stream.feed(piece)
    body.feed(one.body)
    for reading in (stream.result(), body.result()):
        assert reading.complete
        (usage,) = reading.token_usages
        assert (usage.input_tokens, usage.output_tokens) == (120, 200)


@each_api
def test_an_answer_has_the_size_that_is_promised_and_an_event_says_when_it_was_sent(name):
    one = CONVERSATIONS[name]
    assert 1300 < len(one.body) < 1900
    assert SENT_AT.findall(one.opening + one.event % 12 + one.closing) == [b"0000000000000000012"]
    assert (one.opening + one.closing + one.body).count(b"@") == 0
