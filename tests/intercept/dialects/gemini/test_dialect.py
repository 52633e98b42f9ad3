import json

import pytest

from intercept.apis import RefusalBody
from intercept.dialects.gemini.dialect import predictions_reader, read_refusal
from intercept.records import Reading, TokenUsage, UsageSource
from tests.cases import for_each

INFO, RETRY = "type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.RetryInfo"
INVALID = {
    "error": {"code": 400, "details": [{"@type": INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}
}
LIMITED = {"error": {"code": 429, "details": [{"@type": "other"}, {"@type": RETRY, "retryDelay": "34.5s"}]}}


@for_each(
    ("body", "said"),
    (INVALID, RefusalBody(is_invalid_key=True)),
    ([INVALID], RefusalBody(is_invalid_key=True)),
    (LIMITED, RefusalBody(retry_after=34.5)),
    ({"error": {"code": 400, "details": [{"reason": "OTHER", "retryDelay": "soon"}]}}, RefusalBody()),
    ({"error": {"code": 400, "message": "API_KEY_INVALID"}}, RefusalBody()),
    ({"error": "no"}, RefusalBody()),
    ([], RefusalBody()),
)
def test_a_refusal_says_whether_the_key_is_wrong_and_when_to_come_back(body, said):
    assert read_refusal(json.dumps(body).encode()) == said


def read(*chunks):
    reader = predictions_reader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.result()


def embeddings(*counts, values=3):
    one = [
        {"embeddings": {"statistics": {"truncated": False, "token_count": n}, "values": [0.5] * values}} for n in counts
    ]
    return json.dumps({"predictions": one, "metadata": {"billableCharacterCount": 9}}).encode()


def tokens(number, source=UsageSource.PROVIDER):
    return (TokenUsage(provider_response_id="", input_tokens=number, source=source),)


def test_the_tokens_of_all_texts_are_added_up():
    assert read(embeddings(6, 0, 11)) == Reading(complete=True, token_usages=tokens(17))


def test_a_body_of_megabytes_is_read_to_its_end():
    body = embeddings(*[7] * 40, values=10_000)
    assert len(body) > 2**20
    reading = read(*[body[at : at + 65536] for at in range(0, len(body), 65536)])
    assert (reading.open_ended, reading.token_usages) == (True, tokens(280))


@pytest.mark.parametrize(
    "body",
    [
        b'{"predictions":[{"bytesBase64Encoded":"iVBORw0","mimeType":"image/png","prompt":"say \\"token_count\\": 5, now"}]}',
        b'{"predictions":[{"embeddings":{"statistics":{"token_count":"many"}}}]}',
        b"{}",
    ],
    ids=["an image", "no number", "nothing"],
)
def test_what_tells_no_tokens_has_none(body):
    assert read(body) == Reading(complete=True)


@pytest.mark.parametrize("spaces", [0, 9, 60])
def test_cuts_change_nothing(spaces):
    body = b'{"predictions":[{"embeddings":{"statistics":{"token_count"' + b"\n" * spaces + b":3}}}]}"
    assert read(*(body[at : at + 1] for at in range(len(body)))) == read(body)


def test_what_was_cut_has_the_tokens_that_came():
    body = embeddings(6, 11)
    reading = read(body[: body.index(b"11")])
    assert (reading.complete, reading.token_usages) == (False, tokens(6, UsageSource.PARTIAL))
