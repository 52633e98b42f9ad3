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


async def test_five_turns_are_one_session(wiring, sessions):
    for number, (sdk, converse) in enumerate(CONVERSATIONS):
        client = getattr(wiring, sdk)("demo")
        await converse(client, TURNS)
        assert (await sessions())[2 * number :] == [(5, 5)], converse.__name__
        await converse(client, TURNS)
        assert (await sessions())[2 * number :] == [(5, 5), (5, 5)], converse.__name__
