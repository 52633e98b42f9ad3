"""Which requests are tied to one provider."""

import json

import pytest

from intercept.catalog import BATCHES, CHAT_COMPLETIONS, EMBEDDINGS, FILES, GENERATE_CONTENT, MESSAGES, RESPONSES
from intercept.provider_state import MAX_QUOTES, is_tied
from tests.cases import for_each

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
UNKEPT = {"model": "m", "input": "Hi", "store": False}
CONTENTS = {"contents": [{"parts": [{"text": "Hi"}]}]}


def tied(api, request):
    body = json.dumps(request).encode()
    return is_tied(api, api.parse_request(body, "m"), body)


@for_each(
    ("api", "request_"),
    (CHAT_COMPLETIONS, CHAT),
    (CHAT_COMPLETIONS, CHAT | {"store": False}),
    (CHAT_COMPLETIONS, CHAT | {"messages": [{"role": "user", "content": 'Set "file_id" and "container".'}]}),
    (MESSAGES, MESSAGE),
    (MESSAGES, MESSAGE | {"container": None}),
    (RESPONSES, UNKEPT),
    (RESPONSES, UNKEPT | {"previous_response_id": None, "conversation": None}),
    (RESPONSES, UNKEPT | {"input": "x" * 3_000_000}),
    (EMBEDDINGS, {"model": "m", "input": "Hi"}),
    (GENERATE_CONTENT, CONTENTS),
)
def test_what_names_nothing_that_is_kept_may_go_to_any_provider(api, request_):
    assert tied(api, request_) is False


@for_each(
    ("api", "request_"),
    (CHAT_COMPLETIONS, CHAT | {"store": True}),
    (CHAT_COMPLETIONS, CHAT | {"messages": [{"role": "user", "content": [{"file": {"file_id": "file-1"}}]}]}),
    (MESSAGES, MESSAGE | {"container": "container_1"}),
    (MESSAGES, MESSAGE | {"messages": [{"role": "user", "content": [{"source": {"file_id": "file_1"}}]}]}),
    (RESPONSES, {"model": "m", "input": "Hi"}),
    (RESPONSES, UNKEPT | {"store": True}),
    (RESPONSES, UNKEPT | {"store": None}),
    (RESPONSES, UNKEPT | {"previous_response_id": "resp_1"}),
    (RESPONSES, UNKEPT | {"conversation": {"id": "conv_1"}}),
    (RESPONSES, UNKEPT | {"input": [{"type": "item_reference", "id": "msg_1"}]}),
    (RESPONSES, UNKEPT | {"include": ["reasoning.encrypted_content"]}),
    (RESPONSES, UNKEPT | {"input": [{"type": "reasoning", "encrypted_content": "gAAA"}]}),
    (RESPONSES, UNKEPT | {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
    (RESPONSES, {"model": "m", "input": "x" * 3_000_000, "store": True}),
    (RESPONSES, UNKEPT | {"instructions": "x" * 3_000_000, "tools": [{"vector_store_ids": ["vs_1"]}]}),
    (GENERATE_CONTENT, CONTENTS | {"cachedContent": "cachedContents/1"}),
    (GENERATE_CONTENT, {"contents": [{"parts": [{"fileData": {"fileUri": "files/1"}}]}]}),
)
def test_what_one_provider_has_kept_is_for_that_one(api, request_):
    assert tied(api, request_) is True


@pytest.mark.parametrize("api", [BATCHES, FILES])
def test_files_and_batches_stay_where_they_are_put(api):
    summary = CHAT_COMPLETIONS.parse_request(json.dumps(CHAT).encode())
    assert is_tied(api, summary, b"{}") is True


def test_what_has_too_much_in_it_to_be_searched_stays_where_it_is():
    body = json.dumps(CHAT | {"user": '"' * MAX_QUOTES}).encode()
    assert is_tied(CHAT_COMPLETIONS, CHAT_COMPLETIONS.parse_request(body), body) is True
