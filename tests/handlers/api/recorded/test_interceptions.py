"""Interceptions: listed, read, with their tags, on real records."""

import asyncio
import json
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from storage.accounts.users import Role
from storage.queries.filters.search_language import SEARCH_KEYS
from tests.derived import derive, derive_listed
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES
from tests.storage.search_checks import index

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
API = "/api/v2/aibridge"
LIST = f"{API}/interceptions"


async def listed(running, query="", headers=None):
    status, response = await running.get(f"{LIST}?{query}", headers)
    assert status == 200, response
    return response["count"], [result["id"] for result in response["results"]]


async def test_a_call_has_the_groups_of_its_time_and_is_found_by_each_id_also_in_flight(running, call, change):
    # a call keeps the groups that its user was in then
    ids = [(await change("POST", "/groups", {"name": name}))[1]["id"] for name in ("research", "ops")]
    before = await call(CHAT)
    for name in ("research", "ops"):
        await change("PUT", f"/groups/{name}/members/ada")
    within = await call(MESSAGES)
    await change("DELETE", "/groups/research")
    await change("DELETE", "/groups/ops/members/ada")
    after = await call(CHAT)
    group_ids = {one["id"]: one["group_ids"] for one in (await running.get(LIST))[1]["results"]}
    assert group_ids == {before: [], within: ids, after: []}
    assert (await running.get(f"{LIST}/{within}"))[1]["group_ids"] == ids
    await running.afresh()
    # one in flight is shown too
    gate = asyncio.Event()
    running.upstream.play(HEAD, gate)
    client = await running.client()
    body = MESSAGES.request_body(stream=True)
    await client.send("POST", running.path(MESSAGES), running.headers, body)
    id_ = (await client.head()).header("X-AI-Bridge-Interception-Id")
    assert await running.bridge.recorder.flush(5)
    status, resource = await running.get(f"{LIST}/{id_}")
    assert (status, resource["id"], resource["status"], resource["end_reason"]) == (200, id_, "in_flight", None)
    assert await running.get(f"{LIST}?q=status:in_flight") == (
        200,
        {"count": 1, "results": [resource], "next_after_id": None, "count_is_exact": True},
    )
    await running.afresh()
    # an interception is found by every id that it was given
    chat = await call(CHAT, response_headers=b"X-Request-Id: req_chat\r\n")
    messages = await call(MESSAGES, response_headers=b"Request-Id: req_messages\r\n")
    responses = await call(RESPONSES)
    await running.bridge.recorder.flush(5)
    given = [(chat, chat, "req_chat", "chatcmpl-1"), (messages, messages, "req_messages", "msg_1")]
    for id_, *names in [*given, (responses, responses, "resp_1")]:
        for name in names:
            assert await listed(running, f"q=request_id:{name}") == (1, [id_]), name
    assert await listed(running, "q=request_id:req_other") == (0, [])


async def test_an_interception_is_listed_whole(running, call):
    said = {"Session-Id": "s1", "Agent-Id": "agent-2", "Request-Class": "subagent"}
    said = {f"X-Claude-Code-{name}": value for name, value in said.items()}
    id_ = await call(MESSAGES, headers=running.headers | {"User-Agent": "claude-cli/2.1"} | said)
    status, response = await running.get(LIST)
    (result,) = response["results"]
    assert (status, response["count"]) == (200, 1)
    user = running.identity.user
    assert (result["initiator"]["id"], result["initiator"]["username"]) == (str(user.id), "ada")
    (usage,), (prompt,) = result["token_usages"], result["user_prompts"]
    expected = {
        "id": id_,
        "api_key_id": running.identity.token_id,
        "provider": "anthropic",
        "provider_name": "anthropic",
        "model": "m",
        "client": "Claude Code",
        "client_session_id": "s1",
        "agent": {"id": "agent-2", "parent_id": None, "hints": {"request_class": "subagent"}},
        "user_agent": "claude-cli/2.1",
        "streaming": False,
        "status": "completed",
        "end_reason": "completed",
        "error": None,
        "upstream_status": 200,
        "upstream_request_id": None,
        "tool_usages": [],
        "model_thoughts": [],
    }
    assert {name: result[name] for name in expected} == expected
    assert (usage["interception_id"], usage["provider_response_id"], usage["source"]) == (id_, "msg_1", "provider")
    assert usage["metadata"]["usage"] == json.loads(MESSAGES.body)["usage"]
    assert (prompt["interception_id"], prompt["prompt"]) == (id_, "Hello")
    times = [result[name] for name in ("started_at", "upstream_asked_at", "first_byte_at", "ended_at")]
    assert times == sorted(times)
    for time in times:
        assert time.endswith("Z")
    assert (prompt["created_at"], usage["created_at"]) == (times[0], times[-1])
    assert len({UUID(one["id"]) for one in (result, usage, prompt)}) == 3
    assert (await running.get(f"{LIST}/{id_}"))[1] == result


async def test_the_list_is_searched(running, call):
    chat, messages = await call(CHAT, model="gpt"), await call(MESSAGES, model="claude two")
    await derive(running.bridge.database)
    await index(running.bridge.database)
    for query, ids in {
        "provider:openai": [chat],
        "provider_name:anthropic": [messages],
        'model:"claude two"': [messages],
        "client:Unknown model:gpt": [chat],
        f"initiator:{running.identity.user.id} model:gpt": [chat],
        "status:completed model:gpt": [chat],
        "status:failed": [],
        f"user:me {messages.upper()}": [messages],
        "user:ADA CHATCMPL-1": [chat],
        "request_id:chatcmpl-1": [chat],
        "session_id:nothing": [],
        'started_after:"2099-01-01T00:00:00Z"': [],
        'started_before:"2099-01-01T00:00:00+02:00" model:gpt': [chat],
        'model:gpt,"claude two"': [messages, chat],
        "-model:gpt": [messages],
        "-initiator:me": [],
        "since:1h -provider:openai": [messages],
        "http:2xx took:<1h streaming:false": [messages, chat],
        "tool:nothing": [],
        "end:completed -error:x tokens:>=1": [messages, chat],
        f"token:{running.token.partition('-')[0]} model:gpt": [chat],
    }.items():
        assert await listed(running, "q=" + quote(query)) == (len(ids), ids), query


async def test_a_member_sees_only_its_own_calls_whatever_it_asks(running, call):
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    own, other = await call(CHAT, headers=member), await call(MESSAGES)
    assert await listed(running, headers=member) == (1, [own])
    assert await listed(running, "q=initiator:me", headers=member) == (1, [own])
    assert await listed(running, "q=initiator:grace", headers=member) == (1, [own])
    assert await listed(running, "q=provider:anthropic", headers=member) == (0, [])
    assert await listed(running, f"q=request_id:{other}", headers=member) == (0, [])
    assert (await listed(running, headers=auditor))[0] == 2
    assert await listed(running, "q=initiator:grace", headers=auditor) == (1, [own])
    for name in ("ada", "nobody", str(running.identity.user.id), str(uuid4())):
        detail = f'user "{name}" does not exist or is unavailable to you'
        refusal = {
            "message": "Invalid interception search query.",
            "validations": [{"field": "user", "detail": detail}],
        }
        assert await running.get(f"{LIST}?q=initiator:{name}", member) == (400, refusal)
    status, response = await running.get(f"{LIST}?after_id={other}", member)
    assert (status, response["message"]) == (400, "Query parameters have invalid values.")
    await running.bridge.identities.remove_user("grace")
    assert await listed(running, "q=initiator:GRACE", headers=auditor) == (1, [own])
    await running.user("grace")  # another one
    assert await listed(running, "q=initiator:grace", headers=auditor) == (0, [])


async def test_tokens_and_groups_are_found_by_names_that_the_caller_may_know(running, call):
    identities, groups = running.bridge.identities, running.bridge.groups
    await groups.add("research")
    member = await running.user("grace")
    await groups.add_members("research", ["grace"])
    named, secret = await identities.create_token("grace", name="ci")
    by_ci = await call(CHAT, headers={"Authorization": f"Bearer {secret}"})
    by_other = await call(CHAT, headers=member)
    await index(running.bridge.database)
    for headers in (running.headers, member):
        assert await listed(running, "q=token:ci", headers=headers) == (1, [by_ci])
        assert await listed(running, "q=-token:ci", headers=headers) == (1, [by_other])
        assert await listed(running, "q=group:research", headers=headers) == (2, [by_other, by_ci])
    stranger = await running.user("sam")
    for key, value, what in (
        ("token", "ci", 'token "ci"'),
        ("token", named.id, f'token "{named.id}"'),
        ("group", "research", 'group "research"'),
    ):
        status, response = await running.get(f"{LIST}?q={key}:{value}", stranger)
        detail = f"{what} does not exist or is unavailable to you"
        assert (status, response["validations"]) == (400, [{"field": key, "detail": detail}])
    await identities.create_token("grace", name="ci")
    status, response = await running.get(f"{LIST}?q=token:ci", running.headers)
    assert (status, response["validations"][0]["detail"][:40]) == (400, '2 tokens are named "ci"; give the id of ')
    status, response = await running.get(f"{LIST}?q=token:{secret}", running.headers)
    detail = "is the id of a token, the part before its hyphen, or its name; never the token itself"
    assert (status, response["validations"]) == (400, [{"field": "token", "detail": detail}])
    await groups.remove("research")
    assert await listed(running, "q=group:Research", headers=running.headers) == (2, [by_other, by_ci])
    assert await listed(running, "q=initiator:groups/research", headers=running.headers) == (0, [])
    assert (await running.get(f"{LIST}?q=group:research", member))[0] == 400
    await groups.add("research")  # another one
    assert await listed(running, "q=group:research", headers=running.headers) == (0, [])


async def test_a_call_is_shown_as_listed_to_who_may_see_it_and_asks_rightly(running, call):
    # one interception is what the list shows of it
    id_ = await call(CHAT)
    await call(MESSAGES)
    listed = await running.get(f"{LIST}?q=request_id:{id_}")
    assert await running.get(f"{LIST}/{id_}") == (200, listed[1]["results"][0])
    assert await running.get(f"{LIST}/{id_.upper()}") == (200, listed[1]["results"][0])
    await running.afresh()
    # one that is not to be seen is as unknown as one that is not there
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    own, other = await call(CHAT, headers=member), await call(CHAT)
    for headers in (member, auditor, running.headers):
        assert (await running.get(f"{LIST}/{own}", headers))[1]["id"] == own
    assert (await running.get(f"{LIST}/{other}", auditor))[1]["id"] == other
    responses = [await running.get(f"{LIST}/{id_}", member) for id_ in (other, uuid4(), "x", "%20", "..%2f", own[:-1])]
    assert responses == [(404, {"message": "There is no interception with this id that you may see."})] * 6
    await running.afresh()
    # what cannot be asked is refused by name
    invalid = "Query parameters have invalid values."
    refusals = {
        "limit=0&offset=-1&after_id=x": {
            "message": "Invalid pagination limit value.",
            "detail": "Pagination limit must be in range (0, 1000]",
            "validations": [
                {"field": "after_id", "detail": "must be a UUID"},
                {"field": "offset", "detail": "must be in range [0, 2147483647]"},
            ],
        },
        f"offset=1&after_id={UUID(int=1)}": {
            "message": invalid,
            "detail": "Cannot use both after_id and offset pagination in the same request.",
        },
        f"after_id={UUID(int=1)}": {
            "message": invalid,
            "validations": [{"field": "after_id", "detail": "no interception with this id that you may see"}],
        },
        "q=colour:red": {
            "message": "Invalid interception search query.",
            "validations": [
                {
                    "field": "colour",
                    "detail": f'"colour" is not a valid query param: allowed are {", ".join(SEARCH_KEYS)}',
                }
            ],
        },
        "sort=model": {
            "message": invalid,
            "validations": [
                {"field": "sort", "detail": "unknown query parameter; allowed are after_id, limit, offset, q"}
            ],
        },
    }
    responses = {query: await running.get(f"{LIST}?{query}") for query in refusals}
    assert responses == {query: (400, refusal) for query, refusal in refusals.items()}


async def reads(running):
    """What the trail says was read: (reader, whose call, detail but for times), in any order."""
    await running.bridge.access.trail.flush()
    _, page = await running.get(f"{API}/audit")
    entries = [entry for entry in page["results"] if entry["action"] == "calls.read"]
    assert {entry["client_ip"] for entry in entries} <= {"127.0.0.1"}
    said = [{name: value for name, value in entry["detail"].items() if name != "last_at"} for entry in entries]
    names = [(entry["actor"]["username"], entry["subject"]["username"]) for entry in entries]
    return sorted(zip(names, said, strict=True), key=str_of)


def str_of(read):
    names, detail = read
    return [*names, *sorted(map(str, detail.items()))]


async def test_each_way_to_read_what_others_wrote_is_an_entry_and_ones_own_calls_are_none(running, call):
    # each way to read what somebody wrote is an entry
    grace, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    first = await call(MESSAGES, grace)
    await call(MESSAGES, grace)
    await derive_listed(running.bridge.database)
    (_, page) = await running.get(f"{API}/sessions", grace)
    session = page["results"][0]["id"]
    for path in ("interceptions", f"interceptions/{first}", f"sessions/{session}", "interceptions/export", "stats"):
        assert (await running.request("GET", f"{API}/{path}", auditor)).status == 200
    assert await reads(running) == sorted(
        [
            (("audrey", "grace"), {"way": "list", "count": 2}),
            (("audrey", "grace"), {"way": "detail", "interception_id": first, "count": 1}),
            (("audrey", "grace"), {"way": "session", "session_id": session, "count": 2}),
            (("audrey", "grace"), {"way": "export", "count": 2}),
        ],
        key=str_of,
    )
    # and whose they are is told who it was
    _, told = await running.get(f"{API}/users/me/reads", grace)
    assert told["kept_seconds"] == 60 * 86_400
    assert sorted((one["by"], one["count"]) for one in told["reads"]) == [("audrey", 1), *[("audrey", 2)] * 3]
    assert (await running.get(f"{API}/users/audrey/reads", grace))[0] == 403
    assert (await running.get(f"{API}/users/audrey/reads"))[1]["reads"] == []
    await running.afresh("audit")
    # ones own calls and figures alone and heads are no entries
    grace, reader = await running.user("grace"), await running.user("rhea", Role.READER)
    id_ = await call(MESSAGES, grace)
    for method, headers in (("GET", grace), ("GET", reader), ("HEAD", running.headers)):
        for path in ("interceptions", f"interceptions/{id_}", "interceptions/export"):
            assert (await running.request(method, f"{API}/{path}", headers)).status == 200
    assert await reads(running) == []


JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def call(running, tags, metadata=None):
    running.upstream.scripts.clear()
    running.upstream.play(JSON_HEAD % len(CHAT.body) + CHAT.body)
    body = json.dumps(CHAT.request | ({"metadata": metadata} if metadata else {})).encode()
    headers = running.headers | ({"X-AIBridge-Tags": tags} if tags else {})
    response = await running.request("POST", running.path(CHAT), headers, body)
    assert await running.bridge.recorder.flush(5)
    return response


async def test_tags_are_recorded_found_and_told_apart_if_they_are_a_list(running):
    # tags are recorded found and told apart and go no further
    responses = [
        await call(running, "project=apollo,env=ci", {"project": "zeus", "team": "core"}),
        await call(running, "project=zeus"),
        await call(running, ""),
    ]
    assert [response.status for response in responses] == [200, 200, 200]
    assert all(
        not any(name.lower().startswith("x-aibridge") for name, _ in request.headers)
        for request in running.upstream.requests
    )
    sent = json.loads(running.upstream.requests[0].body)
    assert sent["metadata"] == {"project": "zeus", "team": "core"}

    await derive(running.bridge.database, now=running.bridge.now)

    async def found(q):
        status, page = await running.get(f"{API}/interceptions?{urlencode({'q': q})}")
        assert status == 200, page
        return [one["tags"] for one in page["results"]]

    first, second = {"project": "apollo", "env": "ci", "team": "core"}, {"project": "zeus"}
    assert await found("") == [{}, second, first]
    assert await found("tag:project=apollo") == [first]
    assert await found("tag:Project=apollo tag:env=ci") == [first]
    assert await found("tag:project=apollo,project=zeus") == [second, first]
    assert await found("tag:env=ci,project=zeus") == [second, first]
    assert await found("-tag:project=apollo,env=ci") == [{}, second]
    status, result = await running.get(f"{API}/interceptions?q=tag:project")
    assert (status, result["validations"][0]["field"]) == (400, "tag")
    _, stats = await running.get(f"{API}/stats?group_by=tag.project")
    groups = {one["group"]["tag.project"]: one["total"]["interceptions"] for one in stats["groups"]}
    assert groups == {"apollo": 1, "zeus": 1, None: 1}
    await running.afresh()
    # a header that is no list of tags is refused before anything is taken
    response = await call(running, "project")
    assert response.status == 400
    assert b"X-AIBridge-Tags: 'project' is no tag" in response.body
    assert running.upstream.requests == []
    assert await running.bridge.database.interceptions.count_documents({}) == 0
