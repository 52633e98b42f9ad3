"""Data that was copied from another database, and what earlier versions wrote: a server that starts on it answers with it."""

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
from functools import partial

import pytest
from bson import json_util
from pymongo import MongoClient

from tests.docs.pages import ROOT, blocks, page
from tests.handlers.contract import Contract
from tests.polling import PAUSE_SECONDS
from tests.server_process import ServerProcess

CONTROL = "/api/v2/aibridge"
# What is a document in a document, and no map with names of others.
PARTS = {"agent", "connecting", "cost", "error", "rates", "actor", "subject", "detail"}


@pytest.fixture
def start(tmp_path, mongodb_uri):
    """Run a server with the demo provider on a database; what still runs after the test is ended."""
    servers = []

    def start(name):
        where = {"AIBRIDGE_MONGODB_URI": mongodb_uri, "AIBRIDGE_MONGODB_DATABASE": name}
        flags = ("--http-address", "127.0.0.1:0", "--data-dir", tmp_path / "data")
        servers.append(ServerProcess("serve", "--demo", *flags, **where))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def elsewhere(mongodb_uri, database_name):
    """A database that no server has used."""
    with MongoClient(mongodb_uri) as client:
        yield client[f"{database_name}-copy"]
        client.drop_database(f"{database_name}-copy")


async def call(server, token):
    """Say something to the demo provider."""
    client = await server.client()
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    response = await client.request("POST", f"{CONTROL}/demo/v1/chat/completions", headers, body)
    assert response.status == 200


async def totals(server, token, number):
    """What the calls of each user add up to, once there are that many in all."""
    while True:
        status, found = await server.get(f"{CONTROL}/stats?group_by=user&from=2026-01-01T00:00:00Z", token)
        assert status == 200, found
        if found["total"]["interceptions"] >= number:
            return {name: found[name] for name in ("total", "groups")}
        await asyncio.sleep(PAUSE_SECONDS)


def released(version):
    """The documents that a version wrote, by collection."""
    return {
        path.name.partition(".")[0]: [json_util.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for path in (ROOT / "tests" / "released" / version).iterdir()
    }


def extended(version):
    """What a version wrote, as a later one may: each document and its parts have a field that nobody knows."""
    return {name: [_extended(one) for one in documents] for name, documents in released(version).items()}


def _extended(document):
    return {name: _extended_part(name, value) for name, value in document.items()} | {"of_later": 1}


def _extended_part(name, value):
    if isinstance(value, list):
        return [_extended(one) if isinstance(one, dict) else one for one in value]
    return _extended(value) if name in PARTS and isinstance(value, dict) else value


async def stop(server):
    await server.leave()
    server.send(15)
    assert await server.ended() == 0


@pytest.mark.gen_test(timeout=120)
async def test_a_database_that_was_copied_as_described_answers_the_same_elsewhere(
    start, tmp_path, mongodb_uri, database_name, elsewhere
):
    server = start(database_name)
    assert server.port
    token = (tmp_path / "data" / "demo-token").read_text().strip()
    for _ in range(3):
        await call(server, token)
    before = await totals(server, token, 3), await server.get(f"{CONTROL}/interceptions", token)
    await stop(server)

    (copying,) = blocks("docs/operations.md", "python")
    uris = {
        end: mongodb_uri.replace("/?", f"/{name}?")
        for end, name in (("SOURCE", database_name), ("TARGET", elsewhere.name))
    }
    script = tmp_path / re.search(r"(?m)^\.venv/bin/python (\w+\.py)$", page("docs/operations.md"))[1]
    script.write_text(copying)
    copy = partial(subprocess.run, [sys.executable, script], check=True, capture_output=True)
    await asyncio.to_thread(copy, env=os.environ | uris)

    server = start(elsewhere.name)
    after = await totals(server, token, 3), await server.get(f"{CONTROL}/interceptions", token)
    assert after == before
    await call(server, token)
    assert (await totals(server, token, 4))["total"]["interceptions"] == 4  # and not those that were copied once more
    await stop(server)


@pytest.mark.parametrize("version", sorted(path.name for path in (ROOT / "tests" / "released").glob("*.*.*")))
@pytest.mark.parametrize("written", [released, extended])
@pytest.mark.gen_test(timeout=120)
async def test_what_a_released_version_wrote_is_listed_counted_found_and_added_up(
    start, tmp_path, elsewhere, version, written
):
    kept = written(version)
    for name, documents in kept.items():
        elsewhere[name].insert_many(documents)
    calls = [one for one in kept["interceptions"] if one["status"] != "in_flight"]
    server = start(elsewhere.name)
    assert server.port
    token = (tmp_path / "data" / "demo-token").read_text().strip()

    async def get(path):
        client = await server.client()
        response = await client.request("GET", CONTROL + path, {"Authorization": f"Bearer {token}"})
        assert response.status == 200, response.body
        Contract().check_control("GET", CONTROL + path, response)
        return json.loads(response.body)

    found = await totals(server, token, len(calls))
    listed = await get("/interceptions?limit=100")
    assert {one["id"] for one in listed["results"]} == {str(one["_id"].as_uuid()) for one in calls}
    assert listed["count"] == len(calls)
    failed = await get("/interceptions?q=status:failed")
    assert failed["count"] == sum(one["status"] == "failed" for one in calls) > 0
    asked = sum("gateway" in str(one["user_prompts"]) for one in calls)
    assert (await get("/interceptions?q=gateway"))["count"] == asked > 0
    assert len((await get("/users?limit=100"))["results"]) == len(kept["users"])
    for name in ("audit", "policies", "groups", "prices", "budgets"):
        assert await get(f"/{name}")
    assert (await get("/sessions"))["count"] == sum(one["interceptions"] > 1 for one in kept["sessions"])
    cost = sum(one["cost"]["usd"].to_decimal() for one in calls if one.get("cost"))
    assert {name: found["total"][name] for name in ("interceptions", "failed", "tokens", "cost_usd")} == {
        "interceptions": len(calls),
        "failed": failed["count"],
        "tokens": sum(one.get("tokens") or 0 for one in calls),
        "cost_usd": pytest.approx(float(cost)),
    }
    await stop(server)
