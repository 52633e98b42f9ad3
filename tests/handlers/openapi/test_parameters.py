"""A parameter takes what its description allows and nothing else."""

import functools
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

from storage.accounts.audit import Author
from storage.accounts.views import Views
from tests.derived import derive
from tests.handlers.contract import Contract, pointed
from tests.handlers.conversations import MESSAGES

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
# What a value needs beside it.
BESIDE = {"order_by=change": "&compare=previous"}


def allowed_and_not(schema):
    """Values at the edge of what a schema allows, and values beyond it."""
    if "enum" in schema:
        return schema["enum"], ["nothing", schema["enum"][0].upper()]
    if schema["type"] == "integer":
        lowest, highest = schema["minimum"], schema["maximum"]
        return [lowest, highest], [highest + 1, lowest - 1, "x", "1.5", "1e1", "+1", " 1", "\u0663"]
    if schema.get("format") == "uuid":
        return [], ["x", "1", "00000000-0000-0000-0000-00000000000g"]
    if schema.get("format") == "date-time":
        lately = datetime.now(UTC) - timedelta(hours=2)
        allowed = [lately.strftime("%Y-%m-%dT%H:%M:%SZ"), lately.astimezone(timezone(timedelta(hours=1))).isoformat()]
        return allowed, ["yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z"]
    if schema["type"] == "boolean":
        return ["true", "false"], ["1", "True"]
    if "maxLength" in schema:
        return ["x" * schema["maxLength"]], ["x" * (schema["maxLength"] + 1)]
    return [], []


def queries():
    """The parameters of a query by the path that takes them: of every resource that is read with a token."""
    contract = Contract()
    for method, path, operation, parameters in contract.operations():
        if method == "GET" and "400" in operation["responses"] and "{provider}" not in path:
            requested = [one for one in parameters if one["in"] == "query"]
            yield path, {one["name"]: pointed(contract.document, one["schema"]) for one in requested}


async def names(running):
    """What is there, for the parameters of paths: of a path with an id by its kind."""
    bridge = running.bridge
    await bridge.groups.add("research")
    views = Views(bridge.database, bridge.identities, now=bridge.now)
    view = await views.add(Author(running.identity.user), name="week", page="explore", query={}, shared=False)
    running.upstream.play(HEAD % len(MESSAGES.body) + MESSAGES.body)
    client = await running.client()
    body = MESSAGES.request_body(stream=False)
    assert (await client.request("POST", running.path(MESSAGES), running.headers, body)).status == 200
    assert await bridge.recorder.flush(5)
    await derive(bridge.database)
    (interception,) = await running.ended(1)
    return {
        "providers/{name}": "providers/openai",
        "views/{id}": f"views/{view.id}",
        "sessions/{id}": f"sessions/{interception['session_id']}",
        "{id}": interception["id"],
        "{name}": "ada",
        "{group}": "research",
    }


async def test_a_query_takes_what_is_described_and_nothing_else(running):
    client, there, seen = await running.client(), await names(running), []

    async def expect(status, path, query):
        response = await client.request("GET", f"{path}?{query}{BESIDE.get(query, '')}", running.headers)
        assert response.status == status, (path, query, bytes(response.body))

    for described, parameters in queries():
        path = functools.reduce(lambda path, one: path.replace(*one), there.items(), described)
        await expect(400, path, "nothing=1")
        for name, schema in parameters.items():
            allowed, refused = allowed_and_not(schema)
            if schema in seen:  # one function reads what has one schema
                allowed, refused = allowed[-1:], refused[:1]
            else:
                await expect(200, path, f"{name}=")
            for value in allowed:
                await expect(200, path, f"{name}={quote(str(value))}")
            for value in refused:
                await expect(400, path, f"{name}={quote(str(value))}")
            seen.append(schema)
        if parameters:
            name = next(iter(parameters))
            await expect(400, path, f"{name}=&{name}=")


async def test_of_several_choices_that_is_the_default_which_is_said_to_be(running):
    client = await running.client()
    choices = [
        (path, name, schema)
        for path, parameters in queries()
        for name, schema in parameters.items()
        if "enum" in schema and "default" in schema
    ]
    assert len(choices) > 1
    for path, name, schema in choices:
        plain = await client.request("GET", path, running.headers)
        same = set()
        for value in schema["enum"]:
            chosen = await client.request(
                "GET", f"{path}?{name}={value}{BESIDE.get(f'{name}={value}', '')}", running.headers
            )
            assert chosen.status == 200
            same |= {value} if chosen.body == plain.body else set()
        # Where nothing is recorded, every choice may show the same.
        assert same in ({schema["default"]}, set(schema["enum"])), (path, name)
