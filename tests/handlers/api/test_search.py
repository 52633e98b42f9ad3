"""Search in the texts of calls: who finds what, what the response says, and what is audited."""

import json
from itertools import count
from threading import current_thread, main_thread
from urllib.parse import quote
from uuid import UUID

import pytest
from bson import encode

from intercept.recording import Keep, Recording
from intercept.records import EndReason, ModelResponse, ProviderError, Reading, Status, ToolUsage, UserPrompt
from runtime.process import now
from storage.accounts.users import Role
from storage.queries.filters.texts import TextQuery
from storage.search.find import SearchIndex
from tests.derived import derive_listed
from tests.storage import search_checks
from tests.storage.records import ending, interception

LIST = "/api/v2/aibridge/interceptions"
PHRASE = '"wire transfer"'
STATS = "/api/v2/aibridge/stats"


async def record(running, number, prompt, *, initiator_id=None, tool="", error=None, response="", **changes):
    """Record a call that was made now."""
    started = now()
    tools = (ToolUsage(provider_response_id="r", provider_tool_call_id="t", tool="Bash", input=tool),) if tool else ()
    start = interception(
        id=UUID(int=number),
        initiator_id=initiator_id or running.identity.user.id,
        user_prompt=UserPrompt(prompt=prompt),
        started_at=started,
        **changes,
    )
    end = ending(
        interception_id=start.id,
        ended_at=started,
        error=error and ProviderError(type="invalid_request_error", message=error),
        end_reason=EndReason.UPSTREAM_ERROR if error else EndReason.COMPLETED,
        reading=Reading(tool_usages=tools, response=ModelResponse(text=response) if response else None),
    )
    await running.bridge.recorder.start(start)
    running.bridge.recorder.end(start, end)
    assert await running.bridge.recorder.flush(5)


async def index(running):
    await search_checks.index(running.bridge.database)


async def found(running, q, headers=None, more=""):
    status, response = await running.get(f"{LIST}?q={quote(q)}{more}", headers)
    assert status == 200, response
    return response["count"], [UUID(one["id"]).int for one in response["results"]]


async def test_the_call_in_which_somebody_pasted_a_password_is_found(running):
    await record(running, 1, "My password is hunter2, please log in.")
    await record(running, 2, "Say hello", response="It is in the harbour.")
    await index(running)
    status, response = await running.get(f"{LIST}?q=password")
    assert status == 200
    (found_call,) = response["results"]
    assert (response["count"], response["count_is_exact"]) == (1, True)
    assert found_call["matches"] == [
        {
            "field": "user_prompts[0].prompt",
            "before": "My ",
            "text": "password",
            "after": " is hunter2, please log in.",
        }
    ]
    _, of_response = await running.get(f"{LIST}?q=harbour")
    place = {"field": "response.text", "before": "It is in the ", "text": "harbour", "after": "."}
    assert [one["matches"] for one in of_response["results"]] == [[place]]
    assert await found(running, '"password is"') == (1, [1])
    assert await found(running, "hello -password since:1h") == (1, [2])
    _, response = await running.get(LIST)
    assert all("matches" not in one for one in response["results"])


async def test_words_that_begin_a_line_of_a_tool_input_are_found(running):
    lines = 'def main():\nimport os\n\treturn "größer \U0001f600 last"'
    await record(running, 1, "Write it", tool=json.dumps({"content": lines}))
    await record(running, 2, "Cut off", tool=json.dumps({"content": lines})[:-4])
    await record(running, 3, "No JSON", tool=r"C:\new")
    await index(running)
    for words in ("import", "return", "größer", '"main import os return größer"'):
        assert await found(running, words) == (2, [2, 1]), words
    assert await found(running, "new") == (1, [3])
    assert await found(running, "nimport") == await found(running, "ew") == (0, [])
    _, response = await running.get(f"{LIST}?q=last")
    (match,) = response["results"][1]["matches"]
    assert match == {
        "field": "tool_usages[0].input",
        "before": '{"content": "def main():\nimport os\n\treturn "größer \U0001f600 ',
        "text": "last",
        "after": '""}',
    }


async def test_searches_of_what_others_wrote_are_audited(running):
    auditor, grace = await running.user("audrey", Role.AUDITOR), await running.user("grace")
    await record(running, 1, "a secret of ada")
    await index(running)
    for q in ("secret", "nothing", "secret initiator:me", "model:gpt-5"):
        await found(running, q, auditor, "&offset=9")
    await found(running, "secret", grace)
    await found(running, "secret initiator:ada", auditor)
    await running.bridge.access.trail.flush()
    _, trail = await running.get("/api/v2/aibridge/audit")
    said = [
        (one["actor"]["username"], one["subject"] and one["subject"]["username"], one["detail"]["count"])
        for one in trail["results"]
        if one["action"] == "calls.searched"
    ]
    assert sorted(said, key=str) == [("audrey", "ada", 1), ("audrey", None, 2)]
    read = [one["detail"] for one in trail["results"] if one["action"] == "calls.read"]
    assert [(one["way"], one["count"]) for one in read] == [("search", 1)]


async def test_rare_values_and_the_latest_sessions_are_found_and_nothing_that_is_not_kept(running, monkeypatch):
    # nothing is found of what a policy does not keep
    for number, kept in enumerate((Keep.NONE, Keep.HASHED, Keep.REDACTED, Keep.FULL), start=1):
        recording = Recording(prompts=kept, tool_inputs=kept, thoughts=kept, responses=kept, patterns=("hunter2",))
        texts = {"tool": '{"x": "hunter2"}', "error": "hunter2", "response": "hunter2"}
        await record(running, number, "hunter2", **texts, recording=recording)
        await index(running)
        assert (await found(running, "hunter2"))[0] == (kept is Keep.FULL), kept
        parts = await running.bridge.database.search_parts.find({}).to_list(None)
        assert not any(b"hunter2" in encode(part) for part in parts), kept
    await running.afresh("search_segments", "search_parts", "sessions", "audit")
    # rare values are found
    await record(running, 1, "a", tool='{"x": 1}', streaming=False)
    await record(running, 2, "b", error="Too long", streaming=True)
    questions = ["tool:Bash", "-tool:Bash", "error:invalid_request_error", "streaming:true", "took:<1s", "-cost:>0"]
    await index(running)
    expected = [(1, [1]), (1, [2]), (1, [2]), (1, [2]), (2, [2, 1]), (2, [2, 1])]
    assert [await found(running, q) for q in questions] == expected
    await running.afresh("search_segments", "search_parts", "sessions", "audit")
    # where many calls match their sessions are those of the latest
    monkeypatch.setattr("storage.search.find.MAX_CALLS", 1)
    for number in (1, 2):
        await record(running, number, "a word", client_session_id=f"s{number}")
        await index(running)
    await derive_listed(running.bridge.database)
    _, response = await running.get("/api/v2/aibridge/sessions?q=word")
    assert (response["count"], response["count_is_exact"]) == (1, False)
    status, response = await running.get(f"{STATS}?of=sessions&q=word")
    detail = "more than 10,000 calls match it, or 1,000 where words have to follow one another; ask for less"
    assert (status, response["validations"]) == (400, [{"field": "q", "detail": detail}])


async def test_sessions_are_found_by_the_words_and_keys_of_one_call_of_theirs(running):
    grace, reader = await running.user("grace"), await running.user("rhea", Role.READER)
    await record(running, 1, "Where is my password kept?", client_session_id="s1", model="m1")
    await record(running, 2, "Change it", client_session_id="s1", tool='{"command": "passwd --expire"}', model="m2")
    await record(running, 3, "My password is hunter2", client_session_id="s2", model="m1")

    async def sessions(q, headers=None):
        status, response = await running.get(f"/api/v2/aibridge/sessions?q={quote(q)}&order_by=calls", headers)
        assert (status, response["count_is_exact"], response["count"]) == (200, True, len(response["results"]))
        return [session["client_session_id"] for session in response["results"]]

    await record(running, 4, "Never mind", client_session_id="s1", model="m2")
    await derive_listed(running.bridge.database)
    assert await sessions("password") == ["s1", "s2"]
    assert await sessions('"password is"') == ["s2"]
    assert await sessions("tool:Bash") == ["s1"]
    assert await sessions("tool:Bash model:m1") == ["s1"]  # the model is that of any call
    assert await sessions("tool:Bash kept") == []  # no call has both
    assert await sessions("password session_id:s1") == ["s1"]
    assert await sessions("password", grace) == []
    assert await sessions("tool:Bash", reader) == ["s1"]
    for path in ("sessions?q=password", "stats?of=sessions&q=password"):
        status, response = await running.get(f"/api/v2/aibridge/{path}", reader)
        assert (status, response["message"][:37]) == (403, "Readers see no texts, and cannot sear")
    counted = await added_up(running, "password", more="&of=sessions&group_by=model")
    assert {one["group"]["model"]: one["total"]["sessions"] for one in counted["groups"]} == {"m1": 2, "m2": 1}


async def added_up(running, q, headers=None, more="&group_by=model"):
    status, response = await running.get(f"{STATS}?q={quote(q)}{more}", headers)
    assert status == 200, response
    return response


async def test_statistics_are_of_the_calls_that_say_the_words(running):
    await record(running, 1, "My password is hunter2.", model="m1")
    await record(running, 2, "Change my password", model="m2", tool='{"command": "passwd"}')
    await record(running, 3, "Say hello", model="m2")
    await index(running)
    response = await added_up(running, "password")
    groups = {one["group"]["model"]: one["total"]["interceptions"] for one in response["groups"]}
    assert (groups, response["count"], response["total"]["interceptions"]) == ({"m1": 1, "m2": 1}, 2, 2)
    assert (await added_up(running, '"password is" model:m1,m2'))["total"]["interceptions"] == 1
    without = await added_up(running, "-password")
    assert [(one["group"]["model"], one["total"]["interceptions"]) for one in without["groups"]] == [("m2", 1)]
    hourly = await added_up(running, "my password", more="&group_by=model&bucket=hour&compare=previous")
    counts = {one["group"]["model"]: one["points"][0]["interceptions"] for one in hourly["groups"]}
    assert (counts, hourly["previous"]["total"]["interceptions"]) == ({"m1": 1, "m2": 1}, 0)
    lines = await running.request(
        "GET", f"{STATS}?q=password&group_by=model", running.headers | {"Accept": "application/x-ndjson"}
    )
    (planned, *_, result) = [json.loads(line) for line in lines.body.splitlines()]
    assert (planned["progress"], result["result"]["total"]["interceptions"]) == (0, 2)


async def test_words_are_exported_read_in_a_thread_and_not_taken_beside_keys(running, monkeypatch):
    # an export has what a search for words finds
    for number in range(1, 4):
        await record(running, number, "a secret" if number % 2 else "nothing")
    await index(running)
    response = await running.request("GET", f"{LIST}/export?q=secret", running.headers)
    assert [UUID(json.loads(line)["id"]).int for line in response.body.splitlines()] == [3, 1]
    response = await running.request("GET", f"{LIST}/export?q=secret&limit=1", running.headers)
    assert len(response.body.splitlines()) == 1
    await running.afresh("search_segments", "search_parts", "sessions", "audit")
    # words beside what the index does not have are refused
    detail = "words search the texts of calls that have ended; they cannot stand beside request_id and status:in_flight"
    for q in (f"word {UUID(int=1)}", f"word status:{Status.IN_FLIGHT}"):
        status, response = await running.get(f"{LIST}?q={quote(q)}")
        assert (status, response.get("validations")) == (400, [{"field": "q", "detail": detail}]), q
    await running.afresh("search_segments", "search_parts", "sessions", "audit")
    # what looks like a token or a key is not searched for
    for secret in (running.token, "sk-proj-0123456789abcdefghij"):
        status, response = await running.get(f"{LIST}?q=word%20{secret}")
        assert (status, response["validations"][0]["detail"][:29]) == (400, "looks like a token or a key, ")
        assert secret not in json.dumps(response)
    await running.afresh("search_segments", "search_parts", "sessions", "audit")
    # texts are read in a thread and calls go on
    threads = []
    for name in ("matches", "find_matches"):
        read = getattr(TextQuery, name)
        monkeypatch.setattr(
            TextQuery, name, lambda *what, name=name, read=read: threads.append((name, current_thread())) or read(*what)
        )
    await record(running, 1, "hello there")
    await index(running)
    assert await found(running, '"hello there"') == (1, [1])
    assert {name for name, _ in threads} == {"matches", "find_matches"}
    assert main_thread() not in {thread for _, thread in threads}


async def test_nobody_finds_counts_or_gets_errors_of_words_that_they_may_not_read(running):
    grace, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    reader = await running.user("rhea", Role.READER)
    of_grace = (await running.bridge.identities.find_user("grace")).id
    await record(running, 1, "a secret of ada")
    await record(running, 2, "a secret of grace", initiator_id=of_grace)
    await record(running, 3, "another secret of ada", error="overloaded")
    await record(running, 4, "another secret of grace", error="overloaded", initiator_id=of_grace)
    await index(running)
    for headers, q, calls, errors in (
        (grace, "secret", [4, 2], 1),
        (grace, "ada", [], 0),
        (auditor, "secret", [4, 3, 2, 1], 2),
        (auditor, "secret initiator:grace", [4, 2], 1),
    ):
        assert await found(running, q, headers) == (len(calls), calls), q
        assert (await added_up(running, q, headers))["total"]["interceptions"] == len(calls), q
        status, response = await running.get(f"/api/v2/aibridge/errors?q={quote(q)}", headers)
        assert (status, response["calls"]) == (200, errors), q
    ways = (LIST, f"{LIST}/export", "/api/v2/aibridge/errors", STATS)
    for way in (*ways, f"{STATS}?group_by=model", f"{STATS}?bucket=hour", f"{STATS}?format=csv"):
        for accept in ("application/json", "application/x-ndjson"):
            asked = f"{way}{'&' if '?' in way else '?'}q=secret"
            status, response = await running.get(asked, reader | {"Accept": accept})
            assert (status, response["message"][:37]) == (403, "Readers see no texts, and cannot sear"), way
    assert await found(running, "tool:Bash", reader) == (0, [])
    await running.bridge.access.trail.flush()
    _, trail = await running.get("/api/v2/aibridge/audit")
    searched = [
        (one["actor"]["username"], one["subject"] and one["subject"]["username"], one["detail"]["count"])
        for one in trail["results"]
        if one["action"] == "calls.searched"
    ]
    assert sorted(searched, key=str) == [("audrey", "grace", 3), ("audrey", None, 3)]


async def test_errors_are_those_of_the_failed_calls_that_say_the_words(running, monkeypatch):
    await record(running, 1, "My password", error="overloaded")
    await record(running, 2, "Hello", error="the password is wrong")
    await record(running, 3, "Hello", error="overloaded")
    await record(running, 4, "My password")

    async def errors(q):
        status, response = await running.get(f"/api/v2/aibridge/errors?q={quote(q)}")
        assert status == 200, response
        return response["calls"], {one["message"] for one in response["results"]}, response["is_complete"]

    await index(running)
    assert await errors("password") == (2, {"overloaded", "the password is wrong"}, True)
    assert await errors('"password is"') == (1, {"the password is wrong"}, True)
    assert await errors("hello -password") == (1, {"overloaded"}, True)
    monkeypatch.setattr("handlers.api.recorded.statistics.MAX_SAYING", 1)
    assert (await errors("password"))[::2] == (1, False)


class TestWhereTimeIsShort:
    @pytest.fixture
    def bridge_parts(self, database):
        seconds = count(0, 1.5)
        return {"search": SearchIndex(database, lambda: next(seconds))}

    async def test_a_search_for_a_phrase_gives_what_it_found_and_where_to_go_on(self, running):
        for number in range(1, 9):
            await record(running, number, "wire transfer" if number == 1 else "transfer and wire")
        await index(running)
        found, pages, after = [], 0, ""
        while after is not None:
            status, page = await running.get(f"{LIST}?q={quote(PHRASE)}{after and f'&after_id={after}'}")
            assert (status, page["count_is_exact"]) == (200, False), page
            found += [one["id"] for one in page["results"]]
            pages, after = pages + 1, page["next_after_id"]
        assert (found, pages) == ([str(UUID(int=1))], 3)
