"""Conversations of the SDKs, which name no session: their turns are one session each."""

import pytest

from tests.derived import derive

pytestmark = pytest.mark.night

TURNS = ["Hello", "And then?", "Go on.", "Go on.", "Thanks"]


async def chat(client, questions):
    messages = [{"role": "system", "content": "Be brief."}]
    for question in questions:
        messages.append({"role": "user", "content": question})
        completion = await client.chat.completions.create(model="demo", messages=messages)
        messages.append(completion.choices[0].message.to_dict())


async def message(client, questions):
    messages = []
    for question in questions:
        # The mark of a cache moves to the end of the conversation.
        block = {"type": "text", "text": question, "cache_control": {"type": "ephemeral"}}
        said = [*messages, {"role": "user", "content": [block]}]
        response = await client.messages.create(model="demo", max_tokens=99, system="Be brief.", messages=said)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": response.content}]


async def respond(client, questions):
    items = []
    for question in questions:
        items.append({"role": "user", "content": question})
        response = await client.responses.create(model="demo", input=items, instructions="Be brief.")
        items += [item.to_dict() for item in response.output]


async def respond_to_the_one_before(client, questions):
    before = None
    for question in questions:
        response = await client.responses.create(model="demo", input=question, previous_response_id=before)
        before = response.id


CONVERSATIONS = [
    ("openai", chat),
    ("anthropic", message),
    ("openai", respond),
    ("openai", respond_to_the_one_before),
]


@pytest.fixture
def sessions(running, demo):
    """Returns the numbers of calls and threads of all sessions, oldest first, once every call is in one."""

    async def sessions():
        assert await running.bridge.recorder.flush(5)
        await derive(running.bridge.database)
        status, listed = await running.get("/api/v2/aibridge/sessions")
        assert status == 200, listed
        return [(one["interceptions"], one["threads"]) for one in reversed(listed["results"])]

    return sessions


@pytest.mark.gen_test
async def test_five_turns_are_one_session(wiring, sessions):
    for number, (sdk, converse) in enumerate(CONVERSATIONS):
        client = getattr(wiring, sdk)("demo")
        await converse(client, TURNS)
        assert (await sessions())[2 * number :] == [(5, 5)], converse.__name__
        await converse(client, TURNS)
        assert (await sessions())[2 * number :] == [(5, 5), (5, 5)], converse.__name__


@pytest.mark.gen_test
async def test_another_user_or_another_client_never_joins_a_conversation(running, wiring, sessions):
    grace = (await running.user("grace"))["Authorization"].removeprefix("Bearer ")
    mine, hers = wiring.openai("demo"), wiring.openai("demo", api_key=grace)
    other_client = wiring.openai("demo", default_headers={"User-Agent": "ls/JS 5.1.0"})
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello."}]
    response = await mine.responses.create(model="demo", input=turns[:1])
    for client in (hers, other_client):
        await client.responses.create(model="demo", input=[*turns, {"role": "user", "content": "Go on."}])
        await client.responses.create(model="demo", input="Go on.", previous_response_id=response.id)
    assert await sessions() == [(1, 1)]  # the others still look for what they go on with
    parents = running.bridge.database.interceptions.find({"session_id": {"$ne": None}})
    assert len(await parents.to_list(None)) == 1


@pytest.mark.gen_test
async def test_an_agent_s_steps_are_in_the_session_of_its_conversation(wiring, sessions):
    client = wiring.openai("demo")
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    messages = []
    for question in ("Hello", "What does get_weather say?", "Thanks"):
        messages.append({"role": "user", "content": question})
        completion = await client.chat.completions.create(model="demo", messages=messages, tools=tools)
        said = completion.choices[0].message
        messages.append(said.to_dict())
        if said.tool_calls:
            messages.append({"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"})
            completion = await client.chat.completions.create(model="demo", messages=messages, tools=tools)
            messages.append(completion.choices[0].message.to_dict())
    assert await sessions() == [(4, 3)]
