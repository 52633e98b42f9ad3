"""The measurement of the API works on a small database as it does on a large one."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest

from benchmarks.api import database as api_database
from benchmarks.api.population import DAYS, USUAL_CLIENTS, USUAL_MODELS, Population
from benchmarks.api.requests import shapes
from tests.mongodb.memory import data_folder

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
USERS = [UUID(int=number) for number in range(1, 51)]


def made(calls):
    return list(Population(calls=calls, users=USERS, until=NOW).days())


documents = cache(made)


def test_a_population_is_the_same_each_time_and_as_large_as_was_asked():
    days = documents(1_000)
    assert days == made(1_000)
    assert (len(days), sum(map(len, days))) == (DAYS, 1_000)
    assert len({document["_id"] for day in days for document in day}) == 1_000


def test_each_day_is_in_order_and_a_call_goes_on_with_an_earlier_one_of_its_user():
    days = documents(1_000)
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
    for day in documents(5_000):
        for document in day:
            used[document["initiator_id"]][document["model"], document["client"]] += 1
    usual = [sum(number for _, number in each.most_common(USUAL_MODELS * USUAL_CLIENTS)) for each in used.values()]
    assert 0.9 < sum(usual) / 5_000 < 1


def test_every_kind_of_request_is_measured(tmp_path):
    unprofiled = "^groups of |^view: |search"  # what adds groups up and goes through words scans and sorts
    few = ("--records", "250", "--requests", "1", "--warm-up", "0", "--no-profile-of", unprofiled)
    with data_folder(tmp_path) as folder:
        command = [sys.executable, "-m", "benchmarks.api", *few, "--data-dir", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| [\d.]+ \|", done.stdout, flags=re.MULTILINE)
    assert rows == [shape.name for shape in shapes(250)]
    assert re.search(r"^export ndjson: 250 lines, ", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^export csv: 251 lines, ", done.stdout, flags=re.MULTILINE)
    # What a small database shows too: nothing else is.
    profiled = re.findall(r"^\| (.+?) \| .* \| [\d,]+ \| [\d,]+ \| (yes|no) \| [^|]* \|$", done.stdout, re.MULTILINE)
    assert profiled == [(row, "no") for row in rows if not re.search(unprofiled, row)]


def test_ids_are_in_order_of_time_as_those_of_live_records_are():
    for day in documents(1_000):
        started = [int(document["started_at"].timestamp() * 1000) for document in day]
        assert [document["_id"].int >> 80 for document in day] == started
        assert {(document["_id"].version, document["_id"].variant) for document in day} <= {(7, RFC_4122)}


@pytest.mark.gen_test(timeout=60)
async def test_filling_can_be_stopped_and_goes_on_where_it_was(
    mongodb_uri, database, database_name, monkeypatch, capsys
):
    monkeypatch.setattr(api_database, "NAME", database_name)
    insert, made = api_database._insert, []

    async def stopped(client, documents):
        await insert(client, documents[:2] if len(made) == 5 else documents)
        made.append(len(documents))
        if len(made) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(api_database, "_insert", stopped)
    with pytest.raises(KeyboardInterrupt):
        await api_database.fill(mongodb_uri, 250)
    users = await database.users.count_documents({})
    monkeypatch.setattr(api_database, "_insert", insert)
    await api_database.fill(mongodb_uri, 250)
    assert await database.interceptions.count_documents({}) == 250
    assert await database.users.count_documents({}) == users
    marked = {"$or": [{"uncounted": {"$exists": True}}, {"ungrouped": {"$exists": True}}]}
    assert await database.interceptions.count_documents(marked) == 0
    output = capsys.readouterr().out
    for what in ("recorded", "counted", "grouped"):
        assert re.search(rf"{what} 250 of 250 in \d+ s, 0 s left", output)
    await api_database.fill(mongodb_uri, 250)
    assert capsys.readouterr().out == ""
