"""The measurement of the API works on a small database as it does on a large one."""

import re
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from random import Random
from uuid import RFC_4122, UUID

import pytest
from pymongo import AsyncMongoClient

from benchmarks.api import database as api_database
from benchmarks.api import measure as api_measure
from benchmarks.api import population
from benchmarks.api.database import NAME
from benchmarks.api.population import DAYS, USUAL_CLIENTS, USUAL_MODELS, Population
from benchmarks.api.requests import shapes
from tests.mongodb.memory import data_folder

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CALLS = 500
USERS = [UUID(int=number) for number in range(1, 51)]


def made(calls):
    return list(Population(calls=calls, users=USERS, until=NOW).days())


documents = cache(made)


@pytest.fixture(scope="module", autouse=True)
def fewer_words():
    """Half a second is what it takes to draw as many words as a million prompts have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "_POOL", 1_000)
        yield


@pytest.fixture
def data_dir(tmp_path):
    with data_folder(tmp_path) as folder:
        yield folder


def test_a_population_is_the_same_each_time_and_as_large_as_was_asked():
    days = documents(CALLS)
    assert days == made(CALLS)
    assert (len(days), sum(map(len, days))) == (DAYS, CALLS)
    assert len({document["_id"] for day in days for document in day}) == CALLS


def test_each_day_is_in_order_and_a_call_goes_on_with_an_earlier_one_of_its_user():
    days = documents(CALLS)
    known = {document["_id"]: document for day in days for document in day}
    assert all(day == sorted(day, key=lambda document: document["started_at"]) for day in days)
    linked = [document for document in known.values() if document.get("parent_id") in known]
    assert linked
    for document in islice(linked, 100):
        parent = known[document["parent_id"]]
        assert parent["started_at"] < document["started_at"]
        assert parent["initiator_id"] == document["initiator_id"]


def test_a_person_uses_few_models_and_clients_as_a_rule_and_now_and_then_another():
    used = defaultdict(Counter)
    for day in documents(CALLS):
        for document in day:
            used[document["initiator_id"]][document["model"], document["client"]] += 1
    usual = [sum(number for _, number in each.most_common(USUAL_MODELS * USUAL_CLIENTS)) for each in used.values()]
    assert 0.9 < sum(usual) / CALLS < 1


def telling():
    """Of the kinds of request those that have an address, a caller or a value of a parameter that none before them had."""
    known, chosen = set(), []
    for shape in shapes(250):
        asked = shape.parameters(Random(1))
        fields = {re.sub(r':\S*|"[^"]*"|word\d+', ":", asked.pop("q", ""))}
        values = {(shape.path, value) for name, value in asked.items() if name not in {"from", "to", "offset"}}
        facts = values | {
            (shape.path, shape.caller, shape.has_progress),
            (shape.path, str(shape.cursor)),
            (shape.path, *fields),
        }
        if not facts <= known:
            chosen.append(shape)
        known |= facts
    return chosen


@pytest.mark.gen_test(timeout=300)
async def test_a_fill_goes_on_where_it_was_stopped_and_every_kind_of_request_is_measured(data_dir, monkeypatch, capsys):
    # What adds groups up and goes through words scans and sorts; the totals by a group are found as those by nothing.
    unprofiled = "^groups of |^view: |search|^stats of .* by (model|provider|client|initiator)"
    few = ("--records", "250", "--requests", "1", "--warm-up", "0", "--no-profile-of", unprofiled)
    monkeypatch.setattr(sys, "argv", ["benchmarks.api", *few, "--data-dir", str(data_dir)])
    insert, measured, made = api_database._insert, telling(), []

    async def stopped(client, documents):
        await insert(client, documents[:2] if len(made) == 5 else documents)
        made.append(len(documents))
        if len(made) == 6:
            raise KeyboardInterrupt

    async def fill_twice(uri, records):
        async with AsyncMongoClient(uri) as client:
            monkeypatch.setattr(api_database, "_insert", stopped)
            with pytest.raises(KeyboardInterrupt):
                await api_database.fill(uri, records)
            users = await client[NAME].users.count_documents({})
            monkeypatch.setattr(api_database, "_insert", insert)
            await api_database.fill(uri, records)
            assert await client[NAME].interceptions.count_documents({}) == 250
            assert await client[NAME].users.count_documents({}) == users
            marked = {"$or": [{"uncounted": {"$exists": True}}, {"ungrouped": {"$exists": True}}]}
            assert await client[NAME].interceptions.count_documents(marked) == 0
        output = capsys.readouterr().out
        for what in ("recorded", "counted", "grouped"):
            assert re.search(rf"{what} 250 of 250 in \d+ s, 0 s left", output)
        await api_database.fill(uri, records)
        assert capsys.readouterr().out == ""

    monkeypatch.setattr(api_measure, "fill", fill_twice)
    monkeypatch.setattr(api_measure, "shapes", lambda _records: measured)
    await api_measure.main()
    printed = capsys.readouterr().out
    rows = re.findall(r"^\| (.+?) \| [\d.]+ \|", printed, flags=re.MULTILINE)
    assert rows == [shape.name for shape in measured]
    assert re.search(r"^export ndjson: 250 lines, ", printed, flags=re.MULTILINE)
    assert re.search(r"^export csv: 251 lines, ", printed, flags=re.MULTILINE)
    # What a small database shows too: nothing else is.
    profiled = re.findall(r"^\| (.+?) \| .* \| [\d,]+ \| [\d,]+ \| (yes|no) \| [^|]* \|$", printed, re.MULTILINE)
    assert profiled == [(row, "no") for row in rows if not re.search(unprofiled, row)]


def test_ids_are_in_order_of_time_as_those_of_live_records_are():
    for day in documents(CALLS):
        started = [int(document["started_at"].timestamp() * 1000) for document in day]
        assert [document["_id"].int >> 80 for document in day] == started
        assert {(document["_id"].version, document["_id"].variant) for document in day} <= {(7, RFC_4122)}
