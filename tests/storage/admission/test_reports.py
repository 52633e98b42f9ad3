from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from storage.admission import reports as admission_reports
from storage.admission.ledger import Ask, Counted, Rate, RateLimit, update
from storage.admission.reports import AdmissionReports

ADA, BOB = UUID(int=1), UUID(int=2)
RATE = RateLimit(5, 60_000)


@pytest.fixture
def reports(database):
    return AdmissionReports(database.admissions, process=ADA, lease_ms=30_000)


@pytest.fixture
def others(database):
    return AdmissionReports(database.admissions, process=BOB, lease_ms=30_000)


async def admit(database, ledger, wanted=1, **ask):
    ask = {"process": ADA, "number": 1, "held": 0, "slots": None, "lease_ms": 30_000} | ask
    if "key" in ask:
        ask["rates"] = (Counted(ask.pop("key"), ask.pop("rate")),)
    await database.admissions.update_one({"_id": ledger}, update(Ask(wanted=wanted, **ask)), upsert=True)


@pytest.mark.gen_test
async def test_a_report_replaces_the_last_one_and_is_read_by_the_others_only(reports, others):
    await reports.publish({"holding": 1})
    await reports.publish({"holding": 2, "model": "$name"})
    assert await others.of_others() == [{"holding": 2, "model": "$name"}]
    assert await reports.of_others() == []


@pytest.mark.gen_test
async def test_a_report_that_was_withdrawn_or_is_over_is_not_read(database, reports, others):
    await reports.publish({})
    await reports.withdraw()
    await reports.withdraw()
    await AdmissionReports(database.admissions, process=ADA, lease_ms=0).publish({})
    assert await others.of_others() == []


@pytest.mark.gen_test
async def test_a_report_expires_with_the_lease(database, reports):
    await reports.publish({})
    (document,) = await database.admissions.find().to_list(None)
    assert timedelta(seconds=29) < document["expires_at"] - datetime.now(UTC) <= timedelta(seconds=30)


@pytest.mark.gen_test
async def test_usage_of_nothing_is_nothing(reports, others):
    await others.publish({})
    assert await reports.usage(RATE, None, 9) == (0, {}, {}, {})


@pytest.mark.gen_test
async def test_usage_is_told_of_those_that_use_most(database, reports):
    await admit(database, "server", 3, slots=9)
    for user, slots in [("a", 1), ("b", 3), ("c", 2)]:
        await admit(database, f"user:{user}", slots, slots=9, key=f"token {user}", rate=RATE)
    await admit(database, "key:203.0.113.7", 5, key="203.0.113.7", rate=RATE)
    usage = await reports.usage(RATE, None, 2)
    assert (usage.slots, list(usage.users.items())) == (3, [("b", 3), ("c", 2)])
    assert [(key, rate.remaining) for key, rate in usage.rates.items()] == [("203.0.113.7", 0), ("token b", 2)]
    used_up, some = usage.rates.values()
    assert used_up.retry_after_ns == used_up.reset_ns > 50e9
    assert some == Rate(limit=5, remaining=2, retry_after_ns=0, reset_ns=some.reset_ns)


@pytest.mark.gen_test
async def test_the_rates_of_users_are_told_by_user(database, reports):
    for user, wanted in [("a", 1), ("b", 3), ("c", 2)]:
        rates = (Counted(f"token {user}", RATE), Counted(f"user:{user}", RATE))
        await admit(database, f"user:{user}", wanted, rates=rates)
    usage = await reports.usage(RATE, RATE, 2)
    assert [(user, rate.remaining) for user, rate in usage.user_rates.items()] == [("b", 2), ("c", 3)]
    assert [(key, rate.remaining) for key, rate in usage.rates.items()] == [("token b", 2), ("token c", 3)]


@pytest.mark.gen_test
async def test_where_no_rate_is_limited_none_is_told(database, reports):
    await admit(database, "user:a", slots=9)
    assert await reports.usage(None, None, 9) == (0, {"a": 1}, {}, {})


@pytest.mark.gen_test
async def test_a_bounded_number_of_ledgers_is_looked_at_and_the_server_is_among_them(database, reports, monkeypatch):
    monkeypatch.setattr(admission_reports, "LEDGERS_LOOKED_AT", 2)
    await admit(database, "server", slots=9)
    for key in "abc":
        await admit(database, f"key:{key}", key=key, rate=RATE)
    usage = await reports.usage(RATE, None, 9)
    assert (usage.slots, len(usage.rates)) == (1, 2)


@pytest.mark.gen_test
async def test_ledgers_are_looked_at_by_an_index(database):
    ledgers = database.admissions.find({"_id": {"$ne": "server"}, "shares": {"$exists": True}}).sort("expires_at", -1)
    plan = (await ledgers.limit(2).explain())["queryPlanner"]["winningPlan"]
    assert (plan["stage"], plan["inputStage"]["inputStage"]["indexName"]) == ("LIMIT", "expiry")
