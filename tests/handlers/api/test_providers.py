"""Providers of the database: added, changed, disabled and removed by owners while the bridge runs."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from resources.providers import UNKNOWN_TYPE
from storage.mongo.database import DatabaseUnavailableError
from tests.bridge import assemble_bridge

PROVIDERS = "/api/v2/aibridge/providers"
ENCRYPTION_KEY = bytes(range(32))
KEYS = ("sk-east-key-number-one-1111", "sk-east-key-number-two-2222")
CHAT = b'{"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}'
ANSWER = (
    b'{"id":"c1","object":"chat.completion","model":"gpt-5","choices":[{"index":0,"finish_reason":"stop","message":'
    b'{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
OK = HEAD % len(ANSWER) + ANSWER

sealed = pytest.mark.bridge(encryption_keys=(ENCRYPTION_KEY,))


@pytest.fixture
def second_settings(bridge_settings, second_keys):
    """The settings of the other process."""
    return bridge_settings | {"encryption_keys": second_keys}


@pytest.fixture
def second_keys():
    """The encryption keys of the other process."""
    return (ENCRYPTION_KEY,)


@pytest.fixture
def second(io_loop, running, database, second_settings, tmp_path):
    """The bridge of another process on the same database."""
    stack = AsyncExitStack()
    made = assemble_bridge(stack, database, running.upstream.url, tmp_path / "second", second_settings)
    yield io_loop.run_sync(lambda: made)
    io_loop.run_sync(stack.aclose)


async def send(running, method, path, body=None, headers=None):
    content = b"" if body is None else json.dumps(body).encode()
    response = await running.request(
        method, PROVIDERS + path, {**(headers or running.headers), "Content-Type": "application/json"}, content
    )
    return response.status, json.loads(response.body) if response.body else None


def east(running, **more):
    return {"name": "east", "type": "openai", "base_url": running.upstream.url + "v1", **more}


async def call(running, name="east"):
    path = f"/api/v2/aibridge/{name}/v1/chat/completions"
    response = await running.request("POST", path, running.headers, CHAT)
    return response.status, json.loads(response.body)


def without_times(resource):
    return {name: value for name, value in resource.items() if name not in {"created_at", "changed_at", "keys"}}


@sealed
async def test_a_provider_that_an_owner_adds_is_called_at_once_with_its_first_key(running):
    status, added = await send(running, "POST", "", east(running, keys=KEYS))
    assert status == 201
    assert without_times(added) == {
        "name": "east",
        "type": "openai",
        "source": "database",
        "state": "ready",
        "key_state": "key",
        "base_url": running.upstream.url + "v1/",
        "credential": "bearer",
        "region": "",
        "project": "",
        "disabled": False,
        "fallback": [],
        "weight": 0,
        "proxy_url": "",
        "has_ca_certificates": False,
        "has_client_certificate": False,
        "aws_access_key": "",
        "proxy_credentials": "",
        "circuit": None,
    }
    assert [(key["hint"], key["state"], key["setting"], key["refused"]) for key in added["keys"]] == [
        ("sk-e...1111", "ready", "", None),
        ("sk-e...2222", "ready", "", None),
    ]
    assert await running.get(f"{PROVIDERS}/east") == (200, added)
    running.upstream.play(OK)
    assert (await call(running))[0] == 200
    sent = dict(running.upstream.requests[-1].headers)
    assert (sent["Authorization"], running.upstream.requests[-1].target) == (
        f"Bearer {KEYS[0]}",
        "/v1/chat/completions",
    )
    (record,) = await running.ended(1)
    assert (record["provider_name"], record["credential_hint"]) == ("east", "sk-e...1111")


@pytest.mark.expects_log("the provider east names fallbacks that cannot be used: there is no provider named west")
async def test_a_provider_that_cannot_answer_is_followed_by_those_that_are_there(running):
    # a provider that cannot answer is followed by those it names
    await send(running, "POST", "", east(running) | {"name": "west"})
    status, added = await send(running, "POST", "", east(running, fallback=["west"], weight=0))
    assert (status, added["fallback"], added["weight"]) == (201, ["west"], 0)
    busy = b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}"
    running.upstream.play(busy)
    running.upstream.play(OK)
    assert (await call(running))[0] == 200
    status, changed = await send(running, "PATCH", "/east", {"fallback": [], "weight": 7})
    assert (status, changed["fallback"], changed["weight"]) == (200, [], 7)
    running.upstream.scripts.clear()
    running.upstream.play(busy)
    assert (await call(running))[0] == 503
    refused, completed = await running.ended(2)
    assert (refused["provider_name"], refused["tries"]) == ("east", [])
    assert (completed["provider_name"], [one["provider_name"] for one in completed["tries"]]) == (
        "west",
        ["east", "west"],
    )
    await running.afresh("providers")
    # a provider that is gone is asked no more and the log says so
    await send(running, "POST", "", east(running) | {"name": "west"})
    await send(running, "POST", "", east(running, fallback=["west"]))
    await send(running, "DELETE", "/west")
    running.upstream.play(b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}")
    assert (await call(running))[0] == 503
    await running.ended(1)


async def test_what_cannot_stand_in_for_a_provider_is_refused(running):
    await send(running, "POST", "", east(running))
    names = "must be an array of the names of at most 5 providers, each once"
    number = "must be a whole number from 0 to 1000"
    for change, field, said in (
        ({"fallback": ["nobody"]}, "fallback", "there is no provider named nobody; there are "),
        ({"fallback": ["east"]}, "fallback", "east cannot stand in for itself"),
        (
            {"fallback": ["anthropic"]},
            "fallback",
            "anthropic is of the type anthropic, which has no route of the type openai",
        ),
        ({"fallback": "west"}, "fallback", names),
        ({"fallback": ["openai", "openai"]}, "fallback", names),
        ({"fallback": [7]}, "fallback", names),
        ({"fallback": ["A"]}, "fallback", "must be lower-case letters"),
        ({"weight": 1001}, "weight", number),
        ({"weight": True}, "weight", number),
        ({"weight": 0.5}, "weight", number),
        ({"type": "anthropic", "fallback": ["openai"]}, "fallback", "openai is of the type openai, which has no route"),
    ):
        for method, path, body in (("PATCH", "/east", change), ("POST", "", east(running, name="south") | change)):
            if body.get("fallback") == ["east"] and method == "POST":
                continue
            status, refused = await send(running, method, path, body)
            assert status == 400, (method, change)
            (problem,) = refused["validations"]
            assert problem["field"] == field, (method, change)
            assert problem["detail"].startswith(said), (method, change)
        assert (await running.get(f"{PROVIDERS}/east"))[1]["fallback"] == [], change


@sealed
async def test_keys_are_kept_ordered_and_removed_by_their_ids_and_leave_by_no_door(running, database):
    # no key leaves through the api the record or the database
    await send(running, "POST", "", east(running, keys=KEYS))
    running.upstream.play(OK)
    await call(running)
    await running.ended(1)
    responses = [await running.get(f"{PROVIDERS}{path}") for path in ("/east", "/configured")]
    responses += [await running.get(f"/api/v2/aibridge/{path}") for path in ("audit", "interceptions")]
    stored = [document async for document in database.providers.find()]
    for key in KEYS:
        assert key not in json.dumps(responses)
        assert key.encode() not in repr(stored).encode()
        assert running.bridge.secrets.hide(f"a {key} b") == "a [scrubbed] b"
    await running.afresh("providers")
    # keys are kept put in another order and taken away by their ids
    _, added = await send(running, "POST", "", east(running, keys=KEYS))
    first, second = added["keys"]
    _, turned = await send(
        running, "PATCH", "/east", {"keys": [{"id": second["id"]}, "sk-third-key-3333", {"id": first["id"]}]}
    )
    assert [key["hint"] for key in turned["keys"]] == ["sk-e...2222", "sk...33", "sk-e...1111"]
    assert [turned["keys"][0], turned["keys"][2]] == [second, first]
    running.upstream.play(OK)
    await call(running)
    assert dict(running.upstream.requests[-1].headers)["Authorization"] == f"Bearer {KEYS[1]}"
    _, fewer = await send(running, "PATCH", "/east", {"keys": [{"id": first["id"]}]})
    assert fewer["keys"] == [first]
    await running.ended(1)
    await running.afresh("providers")
    # kept keys never go to another address
    _, added = await send(running, "POST", "", east(running, keys=KEYS))
    kept = [{"id": key["id"]} for key in added["keys"]]
    elsewhere = {"base_url": "http://elsewhere.example/v1/"}
    detail = "must be given again, as the provider has another address, credential or proxy now: keys that are kept never go elsewhere"
    refused = {
        "message": "The request body has invalid values.",
        "validations": [{"field": "keys", "detail": detail}],
    }
    proxy = {"proxy_url": "http://proxy.example:3128"}  # it could read what goes to an address without TLS
    for change in (elsewhere, elsewhere | {"keys": kept}, proxy, {"credential": "x-api-key"}, {"type": "anthropic"}):
        assert await send(running, "PATCH", "/east", change) == (400, refused)
    assert (await running.get(f"{PROVIDERS}/east"))[1] == added
    status, moved = await send(running, "PATCH", "/east", elsewhere | {"keys": ["sk-another-key-4444"]})
    assert (status, moved["base_url"], len(moved["keys"])) == (200, "http://elsewhere.example/v1/", 1)
    same_origin = {"base_url": "http://elsewhere.example/v2"}
    assert (await send(running, "PATCH", "/east", same_origin))[0] == 200


@sealed
async def test_calls_of_a_disabled_provider_are_refused_and_those_under_way_go_on(running):
    # calls of a disabled provider get 503 that names it
    await send(running, "POST", "", east(running, keys=KEYS))
    _, disabled = await send(running, "PATCH", "/east", {"disabled": True})
    assert (disabled["state"], disabled["disabled"]) == ("disabled", True)
    message = "The provider east is disabled. Please ask an owner of AI Bridge."
    error = {"message": message, "type": "server_error", "param": None, "code": "service_unavailable"}
    assert await call(running) == (503, {"error": error, "message": message})
    assert running.upstream.requests == []
    _, listed = await running.get(f"{PROVIDERS}/configured")
    assert [one["state"] for one in listed if one["name"] == "east"] == ["disabled"]
    await send(running, "PATCH", "/east", {"disabled": False})
    running.upstream.play(OK)
    assert (await call(running))[0] == 200
    await running.ended(1)
    await running.afresh("providers")
    # a stream under way goes on when its provider is removed
    await send(running, "POST", "", east(running, keys=KEYS))
    gate = asyncio.Event()
    running.upstream.play(HEAD % len(ANSWER) + ANSWER[:50], gate, ANSWER[50:])
    client = await running.client()
    calling = asyncio.create_task(
        client.request("POST", "/api/v2/aibridge/east/v1/chat/completions", running.headers, CHAT)
    )
    await running.upstream.request()
    assert await send(running, "DELETE", "/east") == (204, None)
    status, refused = await call(running)
    assert (status, refused["message"][:40]) == (404, "provider not found; configured providers")
    assert (await send(running, "GET", "/east"))[0] == 404
    gate.set()
    response = await calling
    assert (response.status, response.body) == (200, ANSWER)
    (record,) = await running.ended(1)
    assert (record["provider_name"], record["end_reason"]) == ("east", "completed")


@pytest.mark.expects_log(r"the provider later cannot be used by this version")
async def test_names_are_given_once_and_the_providers_of_the_environment_are_read_only(running, database):
    # providers of the environment are read only and win by name
    taken = "The name openai is that of a provider of the server's environment."
    assert await send(running, "POST", "", {"name": "openai", "type": "openai"}) == (409, {"message": taken})
    fixed = "The provider openai is one of the server's environment: it is changed there."
    assert await send(running, "PATCH", "/openai", {"disabled": True}) == (409, {"message": fixed})
    assert await send(running, "DELETE", "/openai") == (409, {"message": fixed})
    status, resource = await running.get(f"{PROVIDERS}/openai")
    assert (status, resource["source"], resource["base_url"]) == (200, "environment", running.upstream.url + "v1/")
    assert resource["keys"] == [
        {
            "hint": "sk-o...-key",
            "setting": "openai-key",
            "cooldowns": 0,
            "refused": None,
            "id": None,
            "state": "ready",
            "added_at": None,
        }
    ]
    await running.afresh("providers")
    # a name is given once and what is not there is not changed
    assert (await send(running, "POST", "", east(running)))[0] == 201
    exists = "A provider named east exists already."
    assert await send(running, "POST", "", east(running)) == (409, {"message": exists})
    unknown = {"message": "There is no provider named west in the database."}
    assert await send(running, "PATCH", "/west", {"disabled": True}) == (404, unknown)
    assert await send(running, "DELETE", "/west") == (404, unknown)
    assert await send(running, "GET", "/west") == (404, unknown)
    assert (await send(running, "POST", "", east(running) | {"name": "later"}))[0] == 201
    await database.providers.update_one({"name": "later"}, {"$set": {"type": "moon"}})
    await running.bridge.followed.refresh()
    assert await send(running, "GET", "/later") == (404, {"message": f"The type of the provider later {UNKNOWN_TYPE}."})
    status, refused = await send(running, "PATCH", "/later", {"fallback": []})
    assert (status, refused["validations"]) == (400, [{"field": "type", "detail": UNKNOWN_TYPE}])


async def test_who_has_no_key_to_seal_with_adds_no_key_and_is_told_how(running):
    status, refused = await send(running, "POST", "", east(running, keys=KEYS))
    detail = (
        "keys cannot be stored without encryption-keys: set AIBRIDGE_ENCRYPTION_KEYS to what "
        "`openssl rand -base64 32` prints, on every server and for this command"
    )
    assert (status, refused["validations"]) == (400, [{"field": "keys", "detail": detail}])
    assert (await send(running, "GET", "/east"))[0] == 404
    status, added = await send(running, "POST", "", east(running))
    assert (status, added["keys"], added["key_state"]) == (201, [], "keyless")
    await running.afresh("providers")
    # a provider without key says who can give it one
    await send(running, "POST", "", {"name": "vendor", "type": "anthropic"})
    response = await running.request("POST", "/api/v2/aibridge/vendor/v1/messages", running.headers, b"{}")
    assert response.status == 400
    assert json.loads(response.body)["message"] == (
        "The provider vendor has no API key: an owner of AI Bridge can give it one, or send your own key, and the token in "
        "X-Coder-AI-Governance-Token."
    )


@sealed
async def test_each_change_is_audited_by_fields_and_what_cannot_be_a_provider_is_refused(running):
    # each change is audited by the names of its fields
    await send(running, "POST", "", east(running, keys=KEYS))
    await send(running, "PATCH", "/east", {"disabled": True, "keys": []})
    await send(running, "PATCH", "/east", {"disabled": True})
    await send(running, "DELETE", "/east")
    _, trail = await running.get("/api/v2/aibridge/audit")
    entries = [one for one in trail["results"] if one["action"].startswith("provider.")]
    assert [(one["action"], one["subject"], one["detail"]) for one in entries] == [
        ("provider.removed", None, {"provider": "east"}),
        ("provider.changed", None, {"provider": "east", "changes": ["disabled", "keys"]}),
        ("provider.added", None, {"provider": "east"}),
    ]
    assert {one["actor"]["username"] for one in entries} == {"ada"}
    await running.afresh("providers")
    # what cannot be a provider is refused with the field that is wrong
    for body, problems in (
        ({"name": "East", "type": "openai"}, ["name"]),
        ({"name": "configured", "type": "openai"}, ["name"]),
        ({"name": "east", "type": "demo"}, ["type"]),
        ({"type": "openai", "keys": "sk-1", "port": 1}, ["port", "name", "keys"]),
        ({"name": "east", "type": "openai", "base_url": "ftp://x"}, ["base_url"]),
        ({"name": "east", "type": "openai", "base_url": "http://x/" + "y" * 500}, ["base_url"]),
        ({"name": "east", "type": "openai", "disabled": "no"}, ["disabled"]),
        ({"name": "east", "type": "openai", "credential": "basic"}, ["credential"]),
        ({"name": "east", "type": "openai", "keys": ["a b"]}, ["keys"]),
        ({"name": "east", "type": "openai", "keys": [{"id": "x"}]}, ["keys"]),
        ({"name": "east", "type": "openai", "keys": ["k"] * 6}, ["keys"]),
        ({"name": "east", "type": "openai", "keys": ["k", "k"]}, ["keys"]),
        ({"name": "east", "type": "azure"}, ["base_url"]),
        ({"name": "east", "type": "bedrock"}, ["region"]),
        ({"name": "east", "type": "vertex"}, ["project", "region"]),
        ({"name": "east", "type": "vertex", "keys": ["express-key"]}, ["region"]),
        ({"name": "east", "type": "copilot", "keys": ["ghu_1234567890"]}, ["keys"]),
        ({"name": "east", "type": "openai", "credential": "none", "keys": ["sk-1"]}, ["keys"]),
    ):
        status, refused = await send(running, "POST", "", body)
        assert (status, [one["field"] for one in refused.get("validations", [])]) == (400, problems), body


@sealed
async def test_another_process_follows_what_this_one_changed(running, second):
    await send(running, "POST", "", east(running, keys=KEYS))
    assert "east" not in second.providers
    await second.followed.refresh()
    assert second.providers["east"].keys == KEYS
    await send(running, "PATCH", "/east", {"disabled": True})
    await second.followed.refresh()
    assert second.providers["east"].availability == "disabled"
    await send(running, "DELETE", "/east")
    await second.followed.refresh()
    assert "east" not in second.providers


@sealed
@pytest.mark.parametrize("second_keys", [(bytes(32),)])
@pytest.mark.expects_log(r"key 1 of the provider east cannot be opened: sealed with an encryption key that this server")
async def test_a_server_without_the_encryption_key_calls_nobody_without_a_key(running, second):
    await send(running, "POST", "", east(running, keys=KEYS[:1]))
    await second.followed.refresh()
    provider = second.providers["east"]
    assert (provider.keys, provider.availability) == ((), "sealed")


async def test_providers_that_cannot_be_read_stay_and_until_they_are_known_none_is_wrong(running, monkeypatch):
    # before the providers are known no name is said to be wrong
    table = running.bridge.routing.table
    running.bridge.routing.table = replace(table, is_complete=False)
    message = "provider not found: east. The providers in the database are not known yet, as it cannot be reached at the moment."
    status, refused = await call(running)
    assert (status, refused["message"]) == (503, message)
    running.upstream.play(OK)
    assert (await call(running, "openai"))[0] == 200
    running.bridge.routing.table = table
    assert (await call(running))[0] == 404
    await running.ended(1)
    await running.afresh("providers")
    # a process that cannot follow says so and keeps what it knew
    await send(running, "POST", "", east(running))
    followed = running.bridge.followed

    async def fail():
        raise DatabaseUnavailableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(followed, "_read", fail)
        await followed.try_refresh()
    assert followed.behind_since is not None
    _, ready = await running.get("/readyz", {})
    assert ready["providers"] == "those in the database are not followed at the moment; what is known of them stays"
    running.upstream.play(OK)
    assert (await call(running))[0] == 200
    await followed.refresh()
    assert (await running.get("/readyz", {}))[1]["providers"] == "ok"
    await running.ended(1)


CONFIGURED = "/api/v2/aibridge/providers/configured"


def key(hint, setting):
    return {"hint": hint, "setting": setting, "cooldowns": 0, "refused": None}


async def test_providers_are_listed_with_where_their_credential_comes_from_for_a_token(running):
    # providers are listed with where their credential comes from
    of_environment = {"source": "environment", "state": "ready"}
    expected = [
        {"name": "openai", "type": "openai", "key_state": "key", "keys": [key("sk-o...-key", "openai-key")]}
        | of_environment,
        {"name": "anthropic", "type": "anthropic", "key_state": "key", "keys": [key("sk-a...-key", "anthropic-key")]}
        | of_environment,
        {"name": "keyless", "type": "openai", "key_state": "keyless", "keys": []} | of_environment,
        {"name": "own-server", "type": "openai", "key_state": "key", "keys": [key("sk...er", "provider-1-keys")]}
        | of_environment,
        {"name": "no-key", "type": "anthropic", "key_state": "no_key", "keys": []} | of_environment,
    ]
    assert await running.get(CONFIGURED) == (200, expected)
    assert await running.get(CONFIGURED, await running.user("grace")) == (200, expected)
