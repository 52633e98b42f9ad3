import json

import pytest
from msgspec.structs import replace

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.openai.usage_only import body_reader, parse_form, parse_request, stream_reader, tokens
from intercept.formats.json_text import MAX_TAIL_BYTES
from intercept.records import ProviderError, Reading, TokenUsage, UsageSource
from tests.cases import for_each

USAGE = {"prompt_tokens": 8, "total_tokens": 8}


def usage(**fields):
    return TokenUsage(provider_response_id="", **fields)


def read(*chunks, reader=body_reader):
    one = reader()
    for chunk in chunks:
        one.feed(chunk)
    return one.result()


def test_the_model_is_that_of_the_body_or_of_the_path_or_left_to_the_provider():
    assert parse_request(b'{"model": "m", "stream": true}') == RequestSummary(model="m", stream=True)
    assert parse_request(b'{"input": "x"}', "deployed") == RequestSummary(model="deployed")
    assert parse_request(b'{"input": "x"}') == RequestSummary(model="default")
    with pytest.raises(InvalidRequestError):
        parse_request(b"[]")


def test_a_form_names_its_model_and_that_of_an_svg():
    assert parse_form({"model": "m", "stream": "true"}) == RequestSummary(model="m", stream=True)
    assert parse_form({"model": "m", "svg[model]": "n"}) == RequestSummary(model="m", other_models=("n",))
    for svg, others in (({"model": "n"}, ("n",)), ({}, ()), (None, ()), ("<svg/>", None), ({"model": ""}, None)):
        body = json.dumps({"model": "m", "svg": svg}).encode()
        assert parse_request(body) == RequestSummary(model="m", other_models=others), svg
    assert parse_form({}, "deployment") == RequestSummary(model="deployment")


@for_each(
    ("reported", "expected"),
        (USAGE, usage(input_tokens=8, usage=USAGE)),
        ({"input_tokens": 3, "output_tokens": 4}, usage(input_tokens=3, output_tokens=4, usage={"input_tokens": 3, "output_tokens": 4})),
        ({"total_tokens": 5}, usage(input_tokens=5, usage={"total_tokens": 5})),
        ({"search_units": 1}, usage(usage={"search_units": 1})),
        ({}, None),
)  # fmt: skip
def test_the_tokens_are_those_of_each_vendors_usage(reported, expected):
    assert tokens(reported) == expected


@pytest.mark.parametrize(
    ("meta", "input_tokens", "kept"),
    [
        ({"billed_units": {"search_units": 1}}, None, {"search_units": 1}),
        ({"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 7}}, 7, {"input_tokens": 7}),
        ({"billed_units": {"input_tokens": 6}, "tokens": {"input_tokens": None}}, 6, {"input_tokens": 6}),
    ],
)
def test_coheres_usage_stands_in_its_meta(meta, input_tokens, kept):
    reading = read(json.dumps({"id": "r", "results": [], "meta": meta}).encode())
    result = TokenUsage(provider_response_id="r", input_tokens=input_tokens, usage=kept)
    assert reading == Reading(response_id="r", complete=True, token_usages=(result,))


@for_each("size", 1, 1000, 10**9)
@for_each("padding", 10, MAX_TAIL_BYTES, 5 * MAX_TAIL_BYTES)
def test_the_usage_is_found_behind_a_body_of_any_length_however_it_is_cut(padding, size):
    body = json.dumps({"data": "x" * padding, "model": "small", "usage": USAGE}).encode()
    reading = read(*[body[at : at + size] for at in range(0, len(body), size)])
    assert (reading.complete, reading.token_usages) == (True, (usage(input_tokens=8, usage=USAGE),))
    assert reading.model == "small"


@pytest.mark.parametrize("name", ["data", "results"])
def test_the_usage_is_found_before_a_large_member_too(name):
    body = json.dumps({"model": '"data"', "usage": USAGE, name: "x" * 3 * MAX_TAIL_BYTES}).encode()
    told = usage(input_tokens=8, usage=USAGE, source=UsageSource.PARTIAL)
    reading = Reading(model='"data"', open_ended=True, token_usages=(told,))
    assert read(body) == reading
    assert read(body[:-1]) == replace(reading, open_ended=False)
    inner = json.dumps({"x": {"usage": USAGE, name: "x" * 3 * MAX_TAIL_BYTES}}).encode()
    assert read(inner) == Reading(open_ended=True)


def test_a_large_body_without_a_usage_is_as_complete_as_its_connection():
    body = json.dumps({"data": "x" * 3 * MAX_TAIL_BYTES}).encode()
    assert read(body) == Reading(open_ended=True)
    assert read(body[:-1]) == Reading()


def test_what_is_no_object_tells_nothing():
    assert read(*[b"ID3\x04" * 1000] * 100) == Reading(open_ended=True)
    assert read() == Reading()


def test_a_small_body_that_was_cut_is_not_complete():
    assert read(b'{"data": []') == Reading()


def test_an_error_in_a_body_is_one():
    assert read(b'{"error": {"type": "t", "message": "m"}}').error == ProviderError(type="t", message="m")


@pytest.mark.parametrize("kind", ["image_generation.completed", "transcript.text.done", "speech.audio.done"])
def test_the_last_event_of_a_stream_has_its_usage(kind):
    events = [{"type": "x.delta", "delta": "a"}, {"type": kind, "usage": {"input_tokens": 3, "output_tokens": 4}}]
    text = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    reading = read(text, reader=stream_reader)
    result = usage(input_tokens=3, output_tokens=4, usage=events[1]["usage"])
    assert reading == Reading(complete=True, token_usages=(result,))
    assert not read(text[: text.index(b"\n\n") + 2], reader=stream_reader).complete
