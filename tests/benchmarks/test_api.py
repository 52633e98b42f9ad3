"""The measurement of the API works on a small database as it does on a large one."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

from benchmarks.api_requests import shapes
from benchmarks.population import DAYS, USUAL_CLIENTS, USUAL_MODELS, Population

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
USERS = [UUID(int=number) for number in range(1, 51)]


def documents(calls):
    return list(Population(calls=calls, users=USERS, until=NOW).days())


def test_a_population_is_the_same_each_time_and_as_large_as_was_asked():
    days = documents(1_000)
    assert days == documents(1_000)
    assert (len(days), sum(map(len, days))) == (DAYS, 1_000)
    assert len({document["_id"] for day in days for document in day}) == 1_000


def test_each_day_is_in_order_and_a_call_goes_on_with_an_earlier_one_of_its_user():
    days = documents(2_000)
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
    for day in documents(20_000):
        for document in day:
            used[document["initiator_id"]][document["model"], document["client"]] += 1
    usual = [sum(number for _, number in each.most_common(USUAL_MODELS * USUAL_CLIENTS)) for each in used.values()]
    assert 0.9 < sum(usual) / 20_000 < 1


def test_every_kind_of_request_is_measured(tmp_path):
    command = [sys.executable, "-m", "benchmarks.api", "--records", "2000", "--requests", "2", "--data-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| [\d.]+ \|", done.stdout, flags=re.MULTILINE)
    assert rows == [shape.name for shape in shapes(2_000)]
    assert re.search(r"^export ndjson: 2,000 lines, ", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^export csv: 2,001 lines, ", done.stdout, flags=re.MULTILINE)
    # What a small database shows too: nothing is scanned or sorted.
    assert [row for row in rows if re.search(rf"^\| {re.escape(row)} \|.*\| yes \|", done.stdout, re.MULTILINE)] == []
