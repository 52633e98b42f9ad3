import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.dialects.batch_lines import BatchResult
from intercept.dialects.openai.batches import body_reader, completed_upload_reader, parse_request, read_files, read_line
from intercept.dialects.request_bodies import UNNAMED_MODEL
from intercept.records import Reading, TokenUsage
from tests.cases import for_each

IN_A_BATCH = {"service_tier": "batch"}
CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}


def line(**body):
    result = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "usage": CHAT_USAGE} | body
    response = {"status_code": 200, "request_id": "req_1", "body": result}
    return json.dumps({"id": "batch_req_1", "custom_id": "a", "response": response, "error": None}).encode()


def test_a_line_is_read_if_its_request_got_a_response():
    failed = {"id": "batch_req_2", "custom_id": "x", "response": None, "error": {"code": "batch_expired"}}
    counts = {"input_tokens": 7, "output_tokens": 4, "cache_read_input_tokens": 3}
    used = TokenUsage(provider_response_id="chatcmpl-1", usage=CHAT_USAGE | IN_A_BATCH, **counts)
    assert read_line(line()) == BatchResult("a", "chatcmpl-1", "m", (used,))
    assert [read_line(one) for one in (json.dumps(failed).encode(), b"", b"no JSON", b"[]")] == [None] * 4


def test_a_response_without_an_id_is_named_by_its_request():
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    result = read_line(line(id="", usage=usage))
    assert result == BatchResult(
        "a", "req_1", "m", (TokenUsage(provider_response_id="req_1", input_tokens=8, usage=usage | IN_A_BATCH),)
    )


@for_each("body", {"usage": {}}, {"usage": None}, {"model": ""}, {"model": "m" * 257}, {"model": 7})
def test_without_a_model_or_tokens_there_is_nothing_to_record(body):
    assert read_line(line(**body)) is None


def test_the_request_for_a_batch_names_its_file():
    summary = parse_request(b'{"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}')
    assert (summary.model, summary.used_file_id, summary.stream) == (UNNAMED_MODEL, "file-1", False)
    assert parse_request(b'{"endpoint": "/v1/responses"}').used_file_id is None


@pytest.mark.parametrize("again", [b'"input_file_id"', b'"input_file_\\u0069d"'])
def test_a_file_that_is_named_twice_is_refused(again):
    with pytest.raises(InvalidRequestError, match="input_file_id is there more than once"):
        parse_request(b'{"input_file_id": "file-1", %b: "file-2"}' % again)


def test_what_a_batch_has_used_is_not_the_use_of_its_creation():
    reader = body_reader()
    reader.feed(b'{"id": "batch_1", "object": "batch", "usage": {"input_tokens": 0, "output_tokens": 0}}')
    assert reader.result() == Reading(response_id="batch_1", complete=True)


def test_the_files_of_a_batch_are_those_that_it_has_put_out():
    batch = {"id": "batch_1", "input_file_id": "file-1", "output_file_id": "file-2", "error_file_id": None}
    assert read_files(json.dumps(batch).encode()) == ("batch_1", ["file-2"])
    assert read_files(json.dumps(batch | {"error_file_id": "file-3"}).encode()) == ("batch_1", ["file-2", "file-3"])


def completed(*pieces):
    reader = completed_upload_reader()
    for piece in pieces:
        reader.feed(piece)
    return reader.result()


@given(st.integers(1, 200))
def test_a_completed_upload_is_named_by_its_file_however_it_is_cut(size):
    body = json.dumps({"id": "upload_1", "status": "completed", "file": {"id": "file-1"}}).encode()
    reading = completed(*(body[at : at + size] for at in range(0, len(body), size)))
    assert (reading.response_id, reading.complete, reading.token_usages) == ("file-1", True, ())


@for_each("file", None, {}, {"id": ""}, {"id": 7}, {"id": "f" * 1000}, "file-1", ids=lambda file: str(file)[:20])
def test_an_upload_without_a_file_keeps_its_own_name(file):
    assert completed(json.dumps({"id": "upload_1", "file": file}).encode()).response_id == "upload_1"
