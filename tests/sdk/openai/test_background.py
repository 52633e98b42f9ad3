"""The `openai` package's background responses through the bridge: they are recorded when they are fetched."""

import json

import pytest

from tests.sdk.openai.test_responses import REQUEST, RESPONSE
from tests.sdk.wiring import essence, record, stream, tokens, typed_events

QUEUED = RESPONSE | {"status": "queued", "background": True, "output": [], "usage": None}
DONE = RESPONSE | {"background": True}
FETCHED = record(
    "openai",
    model=RESPONSE["model"],
    token_usages=[tokens(26, 20, read=64, write=0)],
    tool_usages=[(one["call_id"], one["name"], one["arguments"]) for one in RESPONSE["output"][2:]],
    model_thoughts=[("reasoning_summary", "Two cities, two calls.")],
)


@pytest.mark.gen_test
async def test_a_stream_that_goes_on_with_one_that_was_cut_is_recorded(running, openai):
    created, done = (
        {"type": f"response.{kind}", "sequence_number": number, "response": response}
        for number, (kind, response) in enumerate({"created": QUEUED, "completed": DONE}.items())
    )
    running.upstream.play(*stream(typed_events([created])))
    assert [event.type async for event in await openai.responses.create(**REQUEST, background=True, stream=True)]
    await running.ended(1)
    running.upstream.scripts[:] = [stream(typed_events([done]))]
    rest = await openai.responses.retrieve("resp_1", stream=True, starting_after=0)
    assert [event.type async for event in rest] == ["response.completed"]
    fetched, cut = await running.ended(2)
    assert (cut["end_reason"], cut["token_usages"]) == ("upstream_truncated", [])
    assert essence(fetched) == FETCHED | {"streaming": True}
    assert json.loads(running.upstream.requests[0].body)["background"]
