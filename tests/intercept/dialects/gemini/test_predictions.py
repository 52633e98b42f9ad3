import json

import pytest

from intercept.dialects.gemini.predictions import body_reader
from intercept.records import Reading, TokenUsage, UsageSource


def read(*chunks):
    reader = body_reader()
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


def test_what_was_cut_has_the_tokens_that_came():
    body = embeddings(6, 11)
    reading = read(body[: body.index(b"11")])
    assert (reading.complete, reading.token_usages) == (False, tokens(6, UsageSource.PARTIAL))
