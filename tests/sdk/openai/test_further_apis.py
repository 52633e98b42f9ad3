"""The `openai` package's APIs without a conversation through the bridge: all that costs tokens is recorded."""

import json

from tests.sdk.wiring import essence, record, tokens, whole

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
MODERATION = {"id": "modr-1", "model": "omni-moderation-latest", "results": []}


def _sent(running):
    (request,) = running.upstream.requests
    return request.method, request.target, json.loads(request.body)


async def test_embeddings_are_recorded_with_their_tokens_and_price(running, openai):
    running.upstream.play(*whole(VECTORS))
    vectors = await openai.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert vectors.to_dict() == VECTORS
    request = {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
    assert _sent(running) == ("POST", "/v1/embeddings", request)
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", token_usages=[tokens(8, None, read=None)])


async def test_a_moderation_is_recorded_and_no_missing_usage(running, openai):
    running.upstream.play(*whole(MODERATION))
    moderation = await openai.moderations.create(input="Hello")
    assert moderation.to_dict() == MODERATION
    assert _sent(running) == ("POST", "/v1/moderations", {"input": "Hello"})
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", model="default")
    (stored,) = await running.bridge.database.interceptions.find({}).to_list(None)
    assert stored["billed"] is False
    _, text = running.bridge.metrics.exposition()
    assert b"interceptions_without_usage_total{" not in text


async def test_speech_comes_as_the_sound_that_it_is(running, openai):
    sound = bytes(range(256)) * 400
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: %d\r\n\r\n" % len(sound)
    running.upstream.play(head, sound)
    spoken = await openai.audio.speech.create(model="m", voice="alloy", input="Hello")
    assert spoken.content == sound
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai")
