"""What one key stores for all members is not for each of them: stored responses, conversations, compaction."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from handlers.dataplane.services import ownership
from intercept.records import Reading
from storage.mongo.database import DatabaseUnavailableError
from tests.handlers.conversations import RESPONSES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM
from tests.storage.calls import Calls
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
OPENAI = "/api/v2/aibridge/openai/v1"
ID = json.loads(RESPONSES.body)["id"]


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(ownership, "WRITTEN_SECONDS", 0)


def play(running, body=b"{}"):
    running.upstream.scripts[:] = [(HEAD % (len(body), body),)]


async def respond(running, headers, body=RESPONSES.body, path="/responses"):
    play(running, body)
    response = await running.request("POST", OPENAI + path, headers, RESPONSES.request_body(stream=False))
    assert response.status == 200
    play(running)


async def statuses(running, headers, *paths):
    return [(await running.request(method, OPENAI + path, headers)).status for method, path in paths]


OF_THE_RESPONSE = [
    ("GET", f"/responses/{ID}"),
    ("GET", f"/responses/{ID}/input_items?limit=5"),
    ("POST", f"/responses/{ID}/cancel"),
    ("DELETE", f"/responses/{ID}"),
]


async def test_a_stored_response_is_for_the_user_who_got_it_or_has_the_key(running, monkeypatch):
    # a stored response is for the user who got it
    await respond(running, running.headers)
    await running.ended(1)
    other = await running.user("grace")
    assert await statuses(running, other, *OF_THE_RESPONSE) == [404] * 4
    assert await statuses(running, running.headers, *OF_THE_RESPONSE) == [200] * 4
    assert [(one.method, one.target) for one in running.upstream.requests[1:]] == [
        (method, "/v1" + path) for method, path in OF_THE_RESPONSE
    ]
    await running.afresh()
    # a response that is still to come can be waited for
    queued = json.dumps({"id": ID, "object": "response", "status": "queued", "background": True, "output": []})
    await respond(running, running.headers, queued.encode())
    await running.ended(1)
    assert await statuses(running, running.headers, ("GET", f"/responses/{ID}")) == [200]
    await running.afresh()
    # an id of another provider or of none gives access to nothing
    await respond(running, running.headers)
    await running.ended(1)
    response = await running.request("GET", f"/api/v2/aibridge/keyless/v1/responses/{ID}", running.headers)
    assert (response.status, json.loads(response.body)["message"]) == (404, ownership.NOT_YOURS)
    paths = [("GET", "/responses/resp_unknown"), ("GET", "/responses/$ne"), ("GET", f"/responses/{ID}%20")]
    assert await statuses(running, running.headers, *paths) == [404] * 3
    assert len(running.upstream.requests) == 1
    await running.afresh()
    # who brings a key reaches what the key reaches
    play(running)
    own = {"X-Coder-AI-Governance-Token": running.token, "Authorization": "Bearer sk-own"}
    conversations = [
        ("POST", "/conversations"),
        *((method, "/conversations/conv_1") for method in ("GET", "POST", "DELETE")),
        *((method, "/conversations/conv_1/items") for method in ("GET", "POST")),
        *((method, "/conversations/conv_1/items/msg_1") for method in ("GET", "DELETE")),
    ]
    assert await statuses(running, own, *OF_THE_RESPONSE, *conversations) == [200] * 12
    assert {tuple(one.header("Authorization")) for one in running.upstream.requests} == {("Bearer sk-own",)}
    running.upstream.requests.clear()
    assert await statuses(running, running.headers, *conversations) == [403] * 8
    assert running.upstream.requests == []
    await running.afresh()

    # where nobody can tell whose it is nobody gets it
    async def unavailable(*_):
        raise DatabaseUnavailableError("MongoDB is unavailable: gone")

    play(running)
    monkeypatch.setattr(running.bridge.interceptions, "has_response", unavailable)
    assert await statuses(running, running.headers, ("GET", f"/responses/{ID}")) == [503]
    assert await statuses(running, running.own_key, ("GET", f"/responses/{ID}")) == [200]
    assert len(running.upstream.requests) == 1


@pytest.mark.parametrize("name", ["request-id", "x-request-id"])
async def test_an_id_that_a_provider_echoes_in_a_header_gives_access_to_nothing(running, name):
    other, body = await running.user("grace"), json.dumps(json.loads(RESPONSES.body) | {"id": "resp_other"}).encode()
    running.upstream.scripts[:] = [
        ((HEAD % (len(body), body)).replace(b"\r\n\r\n", f"\r\n{name}: {ID}\r\n\r\n".encode(), 1),)
    ]
    sent = other | {"X-Request-Id": ID}
    response = await running.request("POST", OPENAI + "/responses", sent, RESPONSES.request_body(stream=False))
    assert response.status == 200
    await running.ended(1)
    play(running)
    assert await statuses(running, other, ("GET", f"/responses/{ID}"), ("GET", "/responses/resp_other")) == [404, 200]


async def test_what_is_begun_in_the_background_is_found_and_cancelled_at_once(running, monkeypatch):
    # a background response can be cancelled as soon as its stream has begun
    monkeypatch.setattr(ownership, "WRITTEN_SECONDS", 5)
    begun, rest = RESPONSES.stream.split(b"\n\n", 1)
    created, cancelled = asyncio.Event(), asyncio.Event()
    pieces = [chunk(begun[:20]), created, chunk(begun[20:] + b"\n\n"), cancelled, chunk(rest), LAST]
    running.upstream.scripts[:] = [(EVENT_STREAM + CHUNKED, *pieces), (HEAD % (2, b"{}"),)]
    client = await running.client()
    request = json.dumps(RESPONSES.request | {"stream": True, "background": True}).encode()
    await client.send("POST", OPENAI + "/responses", running.headers, request)
    response = await client.head()
    created.set()
    while ID.encode() not in response.body:
        await client.piece(response)
    assert await statuses(running, running.headers, ("POST", f"/responses/{ID}/cancel")) == [200]
    cancelled.set()
    await client.rest(response)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], running.tokens(recorded)) == ("completed", RESPONSES.tokens)
    await running.afresh()
    # what is written while it is looked for is found
    calls, waits = Calls(running.bridge.database), []

    async def write_elsewhere(seconds):
        waits.append(seconds)
        await calls.start(1, initiator_id=running.identity.user.id, provider_name="openai")
        await calls.end(1, reading=Reading(response_id="resp_elsewhere"))

    monkeypatch.setattr(ownership, "asyncio", SimpleNamespace(sleep=write_elsewhere))
    monkeypatch.setattr(ownership, "WRITTEN_SECONDS", 5)
    await respond(running, running.headers)
    assert await statuses(running, running.headers, ("GET", f"/responses/{ID}")) == [200]
    assert waits == []  # this process knew of it, and had only to write it
    assert await statuses(running, running.headers, ("GET", "/responses/resp_elsewhere")) == [200]
    assert waits == [5]


async def test_compaction_is_a_call_and_recorded_like_one(running):
    compacted = {
        "id": "resp_compacted",
        "object": "response.compaction",
        "created_at": 1,
        "output": [{"type": "compaction", "encrypted_content": "gAAA"}],
        "usage": {"input_tokens": 40, "input_tokens_details": {"cached_tokens": 10}, "output_tokens": 5},
    }
    await respond(running, running.headers, json.dumps(compacted).encode(), "/responses/compact")
    (recorded,) = await running.ended(1)
    assert (recorded["status"], recorded["end_reason"], recorded["model"]) == ("completed", "completed", "m")
    tokens = running.tokens(recorded)
    assert (tokens["input_tokens"], tokens["output_tokens"], tokens["cache_read_input_tokens"]) == (30, 5, 10)
    assert running.upstream.requests[0].target == "/v1/responses/compact"


async def test_what_a_body_names_is_nothing_that_the_bridge_saw_somebody_else_make(running):
    await respond(running, running.headers)
    await respond(running, running.headers, b'{"id": "file-of-ada", "object": "file"}', "/files")
    await running.ended(2)
    grace = await running.user("grace") | {"Content-Type": "application/json"}

    later = RESPONSES.body.replace(ID.encode(), b"resp_later")

    def message(**part):
        return {"input": [{"role": "user", "content": [part]}]}

    named = [
        {"previous_response_id": ID},
        {"conversation": {"id": ID}},
        message(type="input_file", file_id="file-of-ada"),
        message(type="input_file", file_uri="https://host.example/v1beta/files/file-of-ada"),
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["x", "file-of-ada"]}}]},
    ]
    bodies = [json.dumps(RESPONSES.request | {"stream": False} | one).encode() for one in named]
    bodies.append(bodies[0].replace(b'"previous_', b'"\\u0070revious_'))
    for body in bodies:
        play(running, later)
        sent = len(running.upstream.requests)
        refused = await running.request("POST", f"{OPENAI}/responses", grace, body)
        assert (refused.status, json.loads(refused.body)["message"]) == (404, ownership.NOT_YOURS), body
        assert (len(running.upstream.requests), running.bridge.overload.holding) == (sent, 0)
        by_key = running.own_key | {"X-Coder-AI-Governance-Token": grace["Authorization"][len("Bearer ") :]}
        for headers in (running.headers, by_key):
            play(running, later)
            assert (await running.request("POST", f"{OPENAI}/responses", headers, body)).status == 200, body
    quoted = message(type="input_text", text=json.dumps(named[0]))
    for unknown in ({"previous_response_id": "resp_of_nobody"}, quoted):
        play(running, later)
        body = json.dumps(RESPONSES.request | {"stream": False} | unknown).encode()
        assert (await running.request("POST", f"{OPENAI}/responses", grace, body)).status == 200, unknown
    many = json.dumps(RESPONSES.request | {"file_ids": [f"f{n}" for n in range(ownership.MAX_REFERENCES + 1)]}).encode()
    refused = await running.request("POST", f"{OPENAI}/responses", grace, many)
    assert (refused.status, json.loads(refused.body)["message"]) == (400, ownership.TOO_MANY)
