"""Live interceptions, over real connections: what an EventSource gets, and when it ends."""

import asyncio
import json
from uuid import UUID

import pytest

from intercept.records import EndReason
from storage.accounts.users import Role
from storage.live import listeners
from storage.live import live as live_module
from storage.live.filter_eval import matches
from storage.live.listeners import QUEUED_BYTES
from storage.recording.outbox import outbox
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES

PATH = "/api/v2/aibridge/interceptions/live"
RETRY, HEARTBEAT = ("retry", "2000"), ("", "heartbeat")


class Source:
    """One who listens, and what it is told: fields of each block as they stand there."""

    def __init__(self, client, response):
        self.client, self.response = client, response
        self._read = 0

    async def block(self):
        """The next block; None at the end."""
        while b"\n\n" not in self.response.body[self._read :]:
            if not await self.client.piece(self.response):
                return None
        text = bytes(self.response.body[self._read :]).partition(b"\n\n")[0]
        self._read += len(text) + 2
        return [tuple(line.split(": ", 1)) for line in text.decode().split("\n")]

    async def event(self):
        """The next event as (name, id, data); blocks without data are passed over, as a browser does."""
        while block := await self.block():
            fields = dict(field for field in block if len(field) == 2)
            if "data" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])
        return None

    async def heard(self, number):
        """The next interceptions: (id, end_reason)."""
        events = [await self.event() for _ in range(number)]
        return [(data["id"], data["end_reason"]) for _, _, data in events]


@pytest.fixture
def listen(running):
    """Begin to listen, and wait until that is so."""

    async def listen(query="", headers=None, receive_buffer=None, **more):
        client = await running.client(receive_buffer=receive_buffer)
        await client.send("GET", PATH + query, {**(headers or running.headers), **more})
        source = Source(client, await client.head())
        assert source.response.status == 200
        assert await source.block() == [RETRY]
        return source

    return listen


def id_of(number):
    return str(UUID(int=number))


async def test_a_call_is_told_when_it_starts_and_when_it_ends_as_the_api_shows_it(running, listen):
    gate = asyncio.Event()
    running.upstream.play(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CHAT.body),
        gate,
        CHAT.body,
    )
    source = await listen()
    assert {name: source.response.header(name) for name in ("Content-Type", "Cache-Control", "X-Accel-Buffering")} == {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
    comment, (name, begun) = await source.block()
    assert (comment, name) == (HEARTBEAT, "id")
    caller = await running.client()
    await caller.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    id_ = (await caller.head()).header("X-AI-Bridge-Interception-Id")
    path = f"/api/v2/aibridge/interceptions/{id_}"
    kind, started, resource = await source.event()
    assert (kind, resource, resource["status"]) == ("interception", (await running.get(path))[1], "in_flight")
    assert resource["initiator"]["username"] == "ada"
    gate.set()
    kind, ended, resource = await source.event()
    assert (kind, resource, resource["status"]) == ("interception", (await running.get(path))[1], "completed")
    assert begun < started < ended


async def test_events_are_as_the_standard_wants_and_a_browser_that_comes_back_misses_none(running, listen, calls):
    # an event is exactly what the standard wants
    source = await listen()
    await calls.start(1)
    await source.event()
    blocks = bytes(source.response.body).split(b"\n\n")
    assert blocks[0] == b"retry: 2000"
    assert blocks[1].startswith(b": heartbeat\nid: 82")
    event, id_, data = blocks[2].split(b"\n")
    assert (event, id_[:6], data[:7]) == (b"event: interception", b"id: 82", b"data: {")
    assert blocks[3] == b""
    await running.afresh()
    # a browser that comes back with its cookie misses nothing
    cookie = await running.signed_in()
    source = await listen(headers=cookie)
    await calls.start(1)
    _, last, _ = await source.event()
    source.client.close()
    await calls.end(1)
    await calls.start(2)
    source = await listen(headers=cookie, **{"Last-Event-ID": last})
    assert await source.heard(2) == [(id_of(1), "completed"), (id_of(2), None)]
    await calls.end(2)
    assert await source.heard(1) == [(id_of(2), "completed")]
    await running.afresh()
    # another sites page gets neither in nor a leave to read
    client = await running.client()
    foreign = await running.signed_in() | {"Sec-Fetch-Site": "cross-site", "Origin": "https://x"}
    response = await client.request("GET", PATH, foreign)
    assert (response.status, response.header("Access-Control-Allow-Origin")) == (401, None)
    await running.afresh()
    # a client of http 1 0 gets the same without chunks
    client = await running.client()
    await client.send("GET", PATH, running.headers | {"Connection": "keep-alive"}, version="1.0")
    response = await client.head()
    assert (response.header("Transfer-Encoding"), response.header("Connection")) == (None, "close")
    await until(lambda: running.bridge.lifecycle.in_flight)
    running.bridge.lifecycle.close_streams()
    assert (await client.at_end()).startswith(b"retry: 2000\n\n")


async def test_members_and_readers_are_told_what_they_may_see(running, listen, calls, monkeypatch):
    # a member is told of their own calls alone and others of all
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    grace = await running.bridge.identities.find_user("grace")
    sources = [await listen(headers=headers) for headers in (running.headers, auditor, member)]
    await calls.start(1)
    await calls.start(2, initiator_id=grace.id)
    assert await sources[0].heard(2) == await sources[1].heard(2) == [(id_of(1), None), (id_of(2), None)]
    assert await sources[2].heard(1) == [(id_of(2), None)]
    first = bytes(sources[0].response.body).split(b"\nid: ")[1].split(b"\n")[0].decode()
    resumed = await listen(headers=member, **{"Last-Event-ID": first})
    assert await resumed.heard(1) == [(id_of(2), None)]
    await running.afresh()
    # a search of a member takes no time of calls that they may not see
    member = await running.user("grace")
    grace, looked_for = await running.bridge.identities.find_user("grace"), []
    own, search = {"initiator_id": grace.id}, {"model": "gpt-5"}

    def noted(document, conditions):
        if conditions in (own, search):  # not of those who listen since before
            looked_for.append((document["initiator_id"] == grace.id, conditions))
        return matches(document, conditions)

    monkeypatch.setattr(listeners, "matches", noted)
    source = await listen("?q=model:gpt-5", headers=member)
    await calls.start(1)
    await calls.start(2, initiator_id=grace.id)
    assert await source.heard(1) == [(id_of(2), None)]
    assert looked_for == [(False, own), (True, own), (True, search)]
    await running.afresh()
    # a reader is told of all calls without their texts
    reader = await running.user("rhea", Role.READER)
    sources = [await listen(headers=headers) for headers in (running.headers, reader)]
    await calls.start(1)
    result = [(await source.event())[2]["user_prompts"][0] for source in sources]
    assert [(one["prompt"], one["metadata"]) for one in result] == [("Say hello", {}), ("", {"withheld": True})]
    first = bytes(sources[1].response.body).split(b"\nid: ")[1].split(b"\n")[0].decode()
    resumed = await listen(headers=reader, **{"Last-Event-ID": first})
    assert (await resumed.event())[2]["user_prompts"][0] == result[1]


async def test_a_search_narrows_what_is_told_and_a_status_chooses_starts_or_ends(running, listen, calls):
    queries = ("?q=model:m", "?q=status:in_flight", "?q=status:failed", "?q=status:completed%20model:m", "?q=")
    narrow, starts, failures, both, all_ = [await listen(query) for query in queries]
    await calls.start(1)
    await calls.end(1, EndReason.UPSTREAM_ERROR)
    await calls.start(2, model="m")
    await calls.end(2)
    assert await narrow.heard(2) == [(id_of(2), None), (id_of(2), "completed")]
    assert await starts.heard(2) == [(id_of(1), None), (id_of(2), None)]
    assert await failures.heard(1) == [(id_of(1), "upstream_error")]
    assert await both.heard(1) == [(id_of(2), "completed")]
    assert len(await all_.heard(4)) == 4


@pytest.mark.expects_log(r"WARNING storage\.live\.live: live interceptions restart: the collection was dropped")
async def test_a_forgotten_position_tells_the_client_to_start_over(running, listen, calls):
    source = await listen()
    await calls.start(1)
    _, last, _ = await source.event()
    await running.bridge.database.interceptions.drop()
    message = "Events after this Last-Event-ID are no longer available; reconnect without it."
    assert await source.block() == [
        ("event", "reset"),
        ("id:",),
        ("data", json.dumps({"message": message}, separators=(",", ":"))),
    ]
    assert (await source.block(), source.response.whole) == (None, True)
    response = await running.request("GET", PATH, running.headers | {"Last-Event-ID": last})
    assert (response.status, json.loads(response.body)) == (410, {"message": message})


async def test_who_cannot_listen_is_told_why_and_who_leaves_is_forgotten(running, listen, monkeypatch):
    # the head alone is answered without listening
    client = await running.client()
    response = await client.request("HEAD", PATH, running.headers)
    assert (response.status, response.header("Content-Type"), response.header("Content-Length")) == (
        200,
        "text/event-stream",
        None,
    )
    assert await client.at_end() == b""
    assert running.bridge.lifecycle.in_flight == 0
    assert (await running.request("HEAD", PATH + "?q=a:b", running.headers)).status == 400
    await running.afresh()
    # what cannot be listened to is refused
    client = await running.client()
    for query, headers, message in (
        ("?q=colour:red", {}, "Invalid interception search query."),
        ("?limit=1", {}, "Query parameters have invalid values."),
        ("", {"Last-Event-ID": "7"}, "Last-Event-ID is not the id of an event of this server."),
        ("", {"Last-Event-ID": "82" * 40}, "Last-Event-ID is not the id of an event of this server."),
    ):
        response, case = await client.request("GET", PATH + query, running.headers | headers), (query, headers)
        assert (response.status, response.header("Content-Type")) == (400, "application/json"), case
        assert json.loads(response.body)["message"] == message, case
        assert running.bridge.lifecycle.in_flight == 0, case
    await running.afresh()
    # a client that leaves is forgotten at once
    for leave in ("close", "reset"):
        source = await listen()
        getattr(source.client, leave)()
        await until(lambda: not running.bridge.lifecycle.in_flight)
    await running.afresh()
    # one more than may listen is told to come back
    monkeypatch.setattr(live_module, "MAX_LISTENERS", 1)
    source = await listen()
    client = await running.client()
    response = await client.request("GET", PATH, running.headers)
    assert (response.status, response.header("Retry-After")) == (503, "5")
    assert json.loads(response.body) == {
        "message": "The maximum number of live tails is reached. Please try again later."
    }
    source.client.close()
    await until(lambda: not running.bridge.lifecycle.in_flight)
    await listen()


async def test_it_ends_with_the_session_role_user_or_token_of_who_listens(running, listen, watched_closely, calls):
    # a session that is over ends it
    source = await listen(headers=await running.signed_in())
    await source.block()
    (session,) = (await running.get("/api/v2/aibridge/users/me/sessions"))[1]["results"]
    path = f"/api/v2/aibridge/users/me/sessions/{session['id']}"
    assert (await running.request("DELETE", path, running.headers)).status == 204
    assert (await source.event(), source.response.whole) == (None, True)
    await running.afresh()
    # the removal of its user ends it also while events come
    headers = await running.user("grace", Role.AUDITOR)
    kept, source = await listen(), await listen(headers=headers)
    await source.block()
    await running.bridge.identities.remove_user("grace")
    for number in range(1_000):
        await calls.start(number)
        await kept.heard(1)
        if running.bridge.lifecycle.in_flight == 1:
            break
    while await source.event():
        pass
    assert source.response.whole
    assert running.bridge.lifecycle.in_flight == 1
    await running.afresh()
    # a token that was revoked ends it
    headers = await running.user("grace", Role.AUDITOR)
    kept, revoked = await listen(), await listen(headers=headers)
    await revoked.block()
    token_id = headers["Authorization"].removeprefix("Bearer ").partition("-")[0]
    await running.bridge.identities.revoke_token(token_id)
    assert (await revoked.event(), revoked.response.whole) == (None, True)
    await calls.start(1)
    assert await kept.heard(1) == [(id_of(1), None)]


async def test_one_that_reads_too_slowly_is_cut_off_while_others_go_on_and_can_resume(running, listen, calls):
    other, slow = await listen(), await listen(receive_buffer=4096)
    _, (_, begun) = await slow.block()
    count = 0
    while running.bridge.lifecycle.in_flight == 2:
        await calls.start(count, user_agent="a" * (QUEUED_BYTES // 2))
        await other.heard(1)
        count += 1
    await slow.client.rest(slow.response)
    assert not slow.response.whole
    resumed = await listen(**{"Last-Event-ID": begun})
    assert await resumed.heard(count) == [(id_of(number), None) for number in range(count)]


async def test_a_stop_of_the_server_ends_it_at_once_in_an_orderly_way(running, listen):
    source = await listen()
    await source.block()
    assert await running.bridge.lifecycle.drain(60) == 0
    assert (await source.block(), source.response.whole) == (None, True)
    assert await source.client.at_end() == b""
    response = await running.request("GET", PATH, running.headers)
    assert (response.status, json.loads(response.body)) == (
        503,
        {"message": "AI Bridge is shutting down. Please try again."},
    )


async def test_one_that_reads_nothing_does_not_hold_up_the_stop(running, listen, calls, http_server):
    source = await listen(receive_buffer=4096)
    number = 0
    while all(one.writer.drained for one in http_server.connections):  # until no buffer takes more
        await calls.start(number, user_agent="a" * (3 << 20))
        number += 1
    assert await running.bridge.lifecycle.drain(60) == 0
    source.client.close()


@pytest.mark.expects_log(r"ERROR storage\.live\.live: live interceptions stopped")
async def test_a_fault_of_the_bridge_cuts_it_off(running, listen):
    source = await listen()
    await running.bridge.database.interceptions.insert_one({"_id": "not an interception"})
    assert (await source.event(), source.response.whole) == (None, False)


@pytest.mark.bridge(max_concurrency=1, user_max_concurrency=1)
async def test_it_takes_no_place_of_a_call(running, listen, call, monkeypatch):
    monkeypatch.setattr(outbox, "START_SECONDS", 60)  # so that a start waits for its end, however slow the machine
    sources = [await listen() for _ in range(3)]
    id_ = await call(MESSAGES)
    for source in sources:
        assert await source.heard(1) == [(id_, "completed")]
    assert running.bridge.overload.holding == 0
