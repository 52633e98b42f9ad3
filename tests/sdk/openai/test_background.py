"""The `openai` package's background responses through the bridge: they are recorded when they are fetched."""

import json

import pytest

from limits.limit import Kind
from storage.aggregation.sessions.threads import Threads
from tests.handlers.dataplane.test_call_usage import used
from tests.sdk.libraries import openai_sdk
from tests.sdk.openai.test_responses import REQUEST, RESPONSE, TOOLS
from tests.sdk.wiring import essence, record, stream, tokens, typed_events, whole

QUEUED = RESPONSE | {"status": "queued", "background": True, "output": [], "usage": None}
DONE = RESPONSE | {"background": True}
CREATED = record("openai", user_prompts=["Weather in Paris and Rome?"])
FETCHED = record(
    "openai",
    model=RESPONSE["model"],
    token_usages=[tokens(26, 20, read=64, write=0)],
    tool_usages=[(one["call_id"], one["name"], one["arguments"]) for one in RESPONSE["output"][2:]],
    model_thoughts=[("reasoning_summary", "Two cities, two calls.")],
)


async def poll(running, openai, response):
    """Ask for a response until it has ended, which the third answer says."""
    running.upstream.scripts[:] = [whole(QUEUED), whole(QUEUED | {"status": "in_progress"}), whole(DONE)]
    while response.status in {"queued", "in_progress"}:
        response = await openai.responses.retrieve(response.id)
    return response


@pytest.mark.parametrize("name", [None, "session-1"])
@pytest.mark.bridge(user_token_limit=1_000)
@pytest.mark.gen_test
async def test_polling_records_the_response_once_in_the_session_of_its_creation(running, openai, name):
    running.upstream.play(*whole(QUEUED))
    named = {} if name is None else {"extra_headers": {"Session-Id": name, "X-AIBridge-Tags": "project=apollo"}}
    response = await openai.responses.create(**REQUEST, background=True, **named)
    await running.ended(1)
    assert await used(running, Kind.TOKENS) == 0
    response = await poll(running, openai, response)
    assert response.to_dict() == DONE
    assert (await openai.responses.retrieve(response.id)).to_dict() == DONE
    fetched, created = await running.ended(2)
    assert (essence(created), essence(fetched)) == (CREATED, FETCHED)
    assert [one["client_session_id"] for one in (created, fetched)] == [name] * 2
    assert created["tags"] == fetched["tags"] == ({} if name is None else {"project": "apollo"})
    assert await used(running, Kind.TOKENS) == 46
    # The answer of a tool that it called goes on with it.
    running.upstream.scripts[:] = [whole(RESPONSE | {"id": "resp_2"})]
    result = {"type": "function_call_output", "call_id": "call_a", "output": "sunny"}
    await openai.responses.create(model="m", input=[result], tools=TOOLS, previous_response_id="resp_1", **named)
    await running.ended(3)
    threads = Threads(running.bridge.database, now=running.bridge.now)
    while await threads.link_pending():
        pass
    answer, fetched, created = await running.ended(3)
    assert answer["parent_id"] == fetched["id"]
    assert created["session_id"] == fetched["session_id"] == answer["session_id"]


@pytest.mark.bridge(user_token_limit=1, limits_reserve=True)
@pytest.mark.gen_test
async def test_what_a_fetched_response_used_counts_also_where_limits_reserve(running, openai):
    running.upstream.play(*whole(QUEUED))
    response = await openai.responses.create(model="m", input="Hello", background=True)
    await running.ended(1)
    await poll(running, openai, response)
    await running.ended(2)
    assert await used(running, Kind.TOKENS) == 46
    with pytest.raises(openai_sdk.RateLimitError):
        await openai.responses.create(model="m", input="Hello", background=True)
    with pytest.raises(openai_sdk.RateLimitError):
        await openai.responses.retrieve(response.id)


@pytest.mark.gen_test
async def test_a_background_stream_that_was_recorded_is_not_recorded_again(running, wiring):
    # With an own key nobody waits until it is written whose response it is.
    openai = wiring.openai(api_key="sk-own", default_headers={"X-Coder-AI-Governance-Token": running.token})
    events = [
        {"type": "response.created", "sequence_number": 0, "response": QUEUED},
        {"type": "response.completed", "sequence_number": 1, "response": DONE},
    ]
    running.upstream.play(*stream(typed_events(events)))
    received = [event async for event in await openai.responses.create(**REQUEST, background=True, stream=True)]
    for _ in range(2):
        running.upstream.scripts[:] = [whole(DONE)]
        assert (await openai.responses.retrieve("resp_1")).to_dict() == DONE
        running.upstream.scripts[:] = [stream(typed_events(events))]
        assert [event async for event in await openai.responses.retrieve("resp_1", stream=True)] == received
        (recorded,) = await running.ended(1)
        assert running.tokens(recorded)["output_tokens"] == 20
        running.bridge.fetched._ids.clear()  # then the database tells


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
