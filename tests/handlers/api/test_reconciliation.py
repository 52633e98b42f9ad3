"""Records beside a provider's reports, by HTTP."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from handlers.api import money
from handlers.api.money import NO_KEY, REPORTS_TOO_SLOW
from intercept.records import CredentialKind, Reading, TokenUsage
from resources.prices import NOT_A_TIME
from storage.accounts.users import Role
from storage.derived.rollup import TOKENS
from storage.prices.pricing import Cost
from storage.recording.documents import ended_document, start_document
from tests.bridge import until
from tests.storage.records import INSTANCE, ending, interception
from tests.upstream.reports.conftest import stand_in  # noqa: F401 - a fixture
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, OPENAI_KEY, Entry

PATH = "/api/v2/aibridge/spend/reconciliation"
DAY = datetime(2026, 9, 1, tzinfo=UTC)
ASKED = {"provider": "anthropic", "from": "2026-09-01", "to": "2026-09-03"}


@pytest.fixture
def bridge_settings(bridge_settings, stand_in):  # noqa: F811 - the fixture
    """The settings of a test, with the stand-in as both providers."""
    reports = {
        "reconcile_openai_url": stand_in.url,
        "reconcile_openai_key": OPENAI_KEY,
        "reconcile_anthropic_url": stand_in.url,
        "reconcile_anthropic_key": ANTHROPIC_KEY,
    }
    return reports | bridge_settings


@pytest.fixture
def compare(running):
    """Ask for a comparison: status and response."""

    async def compare(requested=ASKED, headers=running.headers):
        sent = headers | {"Content-Type": "application/json"}
        response = await running.request("POST", PATH, sent, json.dumps(requested).encode())
        return response.status, json.loads(response.body)

    return compare


async def record(running, model, usage, usd, kind=CredentialKind.CENTRALIZED):
    given = {"provider": "anthropic", "provider_name": "anthropic", "model": model, "credential_kind": kind}
    start = interception(id=uuid4(), initiator_id=running.identity.user.id, started_at=DAY, **given)
    counts = dict(zip(TOKENS, usage, strict=True))
    reading = Reading(token_usages=(TokenUsage(provider_response_id="r", **counts),))
    document = start_document(start, instance_id=INSTANCE)
    end = ending(interception_id=start.id, ended_at=DAY, reading=reading)
    document = ended_document(document, end, cost=Cost(Decimal(usd), "table 1"))
    await running.bridge.database.interceptions.insert_one(document)


def figures(tokens, usd):
    return {"tokens": sum(tokens), **dict(zip(TOKENS, tokens, strict=True)), "cost_usd": usd}


async def test_an_auditor_sees_where_records_and_reports_differ(running, compare, stand_in):  # noqa: F811
    await record(running, "claude-opus-4-8", (10, 5, 3, 2), "0.5")
    await record(running, "claude-opus-4-8", (9, 9, 9, 9), "9", CredentialKind.BYOK)
    stand_in.entries = [
        Entry(DAY.date(), "claude-opus-4-8", 10, 5, 3, 2, "0.5"),
        Entry(DAY.date(), "claude-haiku-5", 4, 4, 0, 0, "0.01"),
    ]
    auditor = await running.user("eve", Role.AUDITOR)
    status, compared = await compare(ASKED, auditor)
    differs, agrees = compared.pop("results")
    assert (status, compared) == (200, ASKED | {"agree": 1, "differ": 1})
    reason = "calls past the bridge: none of this model is recorded on this day"
    assert differs == {
        "day": "2026-09-01",
        "model": "claude-haiku-5",
        "recorded": figures((0, 0, 0, 0), 0.0),
        "reported": figures((4, 4, 0, 0), 0.01),
        "difference": figures((4, 4, 0, 0), 0.01),
        "verdict": "differs",
        "reason": reason,
    }
    same = figures((10, 5, 3, 2), 0.5)
    assert (agrees["recorded"], agrees["reported"], agrees["verdict"], agrees["reason"]) == (same, same, "agrees", "")
    written = await running.request(
        "POST", f"{PATH}?format=csv", auditor | {"Content-Type": "application/json"}, json.dumps(ASKED).encode()
    )
    assert written.header("Content-Disposition") == 'attachment; filename="anthropic-2026-09-01.csv"'
    _, first, _ = csv.reader(io.StringIO(written.body.decode(), newline=""))
    assert first == [*("2026-09-01", "claude-haiku-5", "0", "8", "8", "0.0", "0.01", "0.01", "differs"), reason]
    _, compared = await compare(ASKED | {"names": ["another", "third"]}, auditor)
    assert [(row["recorded"]["tokens"], row["verdict"]) for row in compared["results"]] == [(0, "differs")] * 2
    stand_in.entries = []
    _, compared = await compare({"provider": "openai"}, auditor)
    assert (compared["results"], compared["agree"], compared["differ"]) == ([], 0, 0)


@pytest.mark.bridge(reconcile_openai_key="")
async def test_why_there_are_no_reports_is_said_without_a_key(running, compare, stand_in):  # noqa: F811
    stand_in.refusal = (401, {}, b"")
    where = stand_in.url.removeprefix("http://").rstrip("/")
    said = "it does not know the key; give an admin key in reconcile-anthropic-key"
    what = f"{where} answers 401 to /v1/organizations/usage_report/messages"
    assert await compare() == (502, {"message": f"{what}: {said}"})
    stand_in.refusal = (500, {}, b'{"error": {"message": "bad key %s"}}' % ANTHROPIC_KEY.encode())
    status, problem = await compare()
    assert (status, ANTHROPIC_KEY in str(problem)) == (502, False)
    said = NO_KEY.format("openai", "openai")
    assert await compare({"provider": "openai"}) == (409, {"message": said})


async def test_each_field_that_is_wrong_is_named_and_nothing_is_read(running, compare, stand_in):  # noqa: F811
    openai, names = {"provider": "openai"}, "must be a list of at most 100 names"
    for body, problems in (
        ({}, [("provider", "is required")]),
        ({"provider": "azure"}, [("provider", "must be one of openai, anthropic")]),
        (
            {"provider": 1, "from": "1", "to": 2, "names": "a", "x": 1},
            [
                ("x", "unknown field; allowed are provider, from, to, names"),
                ("provider", "must be text"),
                ("from", NOT_A_TIME),
                ("to", "must be text"),
                ("names", names),
            ],
        ),
        (openai | {"names": [1]}, [("names", names)]),
        (openai | {"from": "2026-09-03", "to": "2026-09-03"}, [("to", "must be after from")]),
        (openai | {"from": "2026-06-01", "to": "2026-09-03"}, [("to", "must be at most 93 days after from")]),
        (openai | {"to": "9999-12-31T23:59:59Z"}, [("to", "is out of range")]),
    ):
        status, refused = await compare(body)
        assert (status, [(one["field"], one["detail"]) for one in refused["validations"]]) == (400, problems)
    assert stand_in.requests == []


class Silent:
    """Something that is read and never comes: says that it was asked for, and that nobody waits for it any more."""

    def __init__(self):
        self.requested, self.left = asyncio.Event(), asyncio.Event()

    async def read(self, *_):
        self.requested.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def test_reports_that_take_too_long_and_days_without_records_are_refused(compare, monkeypatch, running):
    # reports that take too long are given up
    silent = Silent()
    monkeypatch.setattr(money, "read_report", silent.read)
    monkeypatch.setattr(money, "RECONCILE_SECONDS", 0.01)
    assert await compare() == (504, {"message": REPORTS_TOO_SLOW.format("anthropic", 0.01)})
    assert silent.left.is_set()
    await running.afresh()
    # days that are not recorded any more are refused
    rollup = {"_id": b"x", "level": "everyone", "bucket": "hour", "at": DAY, "interceptions": 3}
    await running.bridge.database.rollups.insert_one(rollup)
    status, problem = await compare()
    assert (status, [one["field"] for one in problem["validations"]]) == (400, ["from"])


@pytest.mark.parametrize("where", ["read_report", "read_recorded"])
async def test_nothing_more_is_read_for_a_client_that_leaves(running, monkeypatch, where):
    silent = Silent()
    monkeypatch.setattr(money, where, silent.read)
    client = await running.client()
    await client.send("POST", PATH, running.headers, json.dumps(ASKED).encode())
    await silent.requested.wait()
    client.close()
    await silent.left.wait()
    await until(lambda: len(running.bridge.shares.exports) == 0)
