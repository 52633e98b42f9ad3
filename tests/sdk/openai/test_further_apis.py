"""The `openai` package's APIs without a conversation through the bridge: all that costs tokens is recorded."""

import json

import pytest

from tests.sdk.wiring import essence, record, stream, tokens, whole

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1790000000,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [{"text": " Grüße", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}
MODERATION = {"id": "modr-1", "model": "omni-moderation-latest", "results": []}


def _sent(running):
    (request,) = running.upstream.requests
    return request.method, request.target, json.loads(request.body)


@pytest.mark.gen_test
async def test_embeddings_are_recorded_with_their_tokens_and_price(running, openai):
    running.upstream.play(*whole(VECTORS))
    vectors = await openai.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert vectors.to_dict() == VECTORS
    request = {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
    assert _sent(running) == ("POST", "/v1/embeddings", request)
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", token_usages=[tokens(8, None, read=None)])


@pytest.mark.gen_test
async def test_a_legacy_completion_is_recorded_like_a_chat(running, openai):
    running.upstream.play(*whole(COMPLETION))
    completion = await openai.completions.create(model="m", prompt="Say hello", max_tokens=9)
    assert completion.to_dict() == COMPLETION
    (recorded,) = await running.ended(1)
    expected = record("openai", token_usages=[tokens(5, 7, read=None)], user_prompts=["Say hello"])
    assert essence(recorded) == expected
    assert recorded["token_usages"][0]["provider_response_id"] == "cmpl-1"


@pytest.mark.gen_test
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


IMAGE_USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 12},
    "output_tokens": 272,
    "total_tokens": 284,
}
WORDS_USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"audio_tokens": 14, "text_tokens": 0},
    "output_tokens": 45,
    "total_tokens": 59,
}


@pytest.mark.gen_test
async def test_an_image_that_is_edited_goes_up_as_the_form_that_it_is(running, openai):
    running.upstream.play(*whole({"created": 1790000000, "data": [], "usage": IMAGE_USAGE}))
    picture = bytes(range(256)) * 300
    await openai.images.edit(model="m", prompt="A turtle", image=("a.png", picture, "image/png"))
    (request,) = running.upstream.requests
    assert request.target == "/v1/images/edits"
    assert request.header("Content-Type")[0].startswith("multipart/form-data; boundary=")
    assert picture in request.body
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", token_usages=[tokens(12, 272, read=None)])


@pytest.mark.gen_test
async def test_a_streamed_image_has_the_tokens_of_its_last_event(running, openai):
    events = [
        {"type": "image_generation.partial_image", "b64_json": "QUJD" * 20_000, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": "QUJD" * 20_000, "usage": IMAGE_USAGE},
    ]
    running.upstream.play(*stream([f"data: {json.dumps(event)}\n\n".encode() for event in events]))
    received = await openai.images.generate(model="m", prompt="A turtle", stream=True, partial_images=1)
    assert [event.type async for event in received] == [event["type"] for event in events]
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", token_usages=[tokens(12, 272, read=None)], streaming=True)


@pytest.mark.parametrize(
    ("usage", "recorded_usage"),
    [
        (WORDS_USAGE, tokens(14, 45, read=None)),
        ({"type": "duration", "seconds": 9}, tokens(None, None, read=None)),
    ],
)
@pytest.mark.gen_test
async def test_a_transcription_is_recorded_with_its_tokens_or_its_duration(running, openai, usage, recorded_usage):
    running.upstream.play(*whole({"text": "Grüße", "usage": usage}))
    heard = await openai.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF" * 50_000))
    assert heard.text == "Grüße"
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai", token_usages=[recorded_usage])
    assert recorded["token_usages"][0]["metadata"]["usage"] == usage
    assert recorded["cost"] is None


@pytest.mark.gen_test
async def test_speech_comes_as_the_sound_that_it_is(running, openai):
    sound = bytes(range(256)) * 400
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: %d\r\n\r\n" % len(sound)
    running.upstream.play(head, sound)
    spoken = await openai.audio.speech.create(model="m", voice="alloy", input="Hello")
    assert spoken.content == sound
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("openai")
