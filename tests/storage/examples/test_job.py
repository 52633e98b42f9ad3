"""An invented company comes, and goes without a trace."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from bson.decimal128 import Decimal128

from intercept.ids import is_example
from intercept.records import CredentialKind, Ending, EndReason, Interception, Reading, TokenUsage, UserPrompt
from intercept.refusals import Refusal, Rule
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.costs.prices import Cost, InputRates
from storage.examples import job as job_module
from storage.examples import store as store_module
from storage.examples.documents import RANGE, ExampleState
from storage.examples.job import LEASE_SECONDS, ExampleJob
from storage.examples.store import ExampleStore
from storage.examples.totals import delete_counted
from storage.mongo.codec import binary
from storage.mongo.database import DatabaseUnavailableError
from storage.prices import recosting as recosting_module
from storage.prices.recosting import SETTLE_SECONDS, Recosting
from storage.prices.recosts import Recosts
from storage.queries.money.reconciliation import read_recorded
from storage.recording.documents import ending_fields, start_document
from storage.search.documents import JOB_STATE, part_id, read_segment
from storage.search.job import SearchJob
from storage.search.segments import ID_BYTES, IDS

pytestmark = pytest.mark.usefixtures("few_at_work")

REAL = UUID("11111111-1111-4111-8111-111111111111")
BOOKKEEPING = {"counting", "grouping", "indexing"}


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""A Thursday, so that the two days are no weekend."""


def real_call(number, at, **fields):
    """A call that somebody made: some use models, providers and clients of the invented ones, in the same minutes."""
    given = {
        "id": UUID(int=number, version=4),
        "api_key_id": "abcdefghij",
        "initiator_id": REAL,
        "provider": "anthropic",
        "provider_name": "anthropic",
        "route": "/v1/messages",
        "model": ("claude-sonnet-5", "claude-opus-4-8", "mine")[number % 3],
        "streaming": True,
        "client": "Claude Code",
        "client_session_id": f"session {number % 4}",
        "user_agent": "",
        "credential_kind": CredentialKind.CENTRALIZED,
        "credential_hint": "",
        "started_at": at,
        "user_prompt": UserPrompt(prompt=f"word{number}"),
    }
    start = Interception(**(given | fields))
    usage = TokenUsage(provider_response_id="r", input_tokens=number, output_tokens=7, cache_read_input_tokens=3)
    ending = Ending(
        interception_id=start.id,
        end_reason=EndReason.COMPLETED if number % 5 else EndReason.UPSTREAM_ERROR,
        ended_at=at + timedelta(seconds=number % 9),
        upstream_asked_at=at,
        first_byte_at=at,
        reading=Reading(token_usages=(usage,)),
    )
    rates = InputRates(Decimal("0.000003"), Decimal("0.0000003"), Decimal("0.00000375"))
    cost = Cost(Decimal(number) / 1000, "table", rates)
    document = start_document(start, instance_id=REAL, new_id=lambda: REAL)
    return document | ending_fields(ending, new_id=lambda: REAL, cost=cost)


def real_calls(numbers):
    return [real_call(number, NOW - timedelta(minutes=97 * number)) for number in numbers]


async def make_real_calls(database, numbers):
    await database.interceptions.insert_many(real_calls(numbers))
    for job in (RollupJob(database, now=lambda: NOW), SessionJob(database), SearchJob(database)):
        await job.add_pending()


async def refuse_somebody(database):
    recorder = RefusalRecorder(database, now=lambda: NOW)
    recorder.note(Refusal(rule=Rule.USER_RATE, status=429, initiator_id=REAL))
    await recorder.flush()


async def fill(database, now=lambda: NOW):
    await ExampleStore(database, now=now).fill()
    job = ExampleJob(database, holder=uuid4(), now=now)
    while (example := await ExampleStore(database, now=now).read()).state is ExampleState.FILLING:
        await job.step()
    assert example.state is ExampleState.FILLED
    return example


async def remove(database, now=lambda: NOW):
    await ExampleStore(database, now=now).remove()
    job = ExampleJob(database, holder=uuid4(), now=now)
    while await job.step():
        pass


def plain(value):
    """A value without the forms in which equal numbers are kept."""
    if isinstance(value, Decimal128):
        return value.to_decimal().normalize()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


async def everything(database):
    """All that a database holds, without states and runs of jobs, audit entries of examples, and how the index is cut."""
    held = {}
    for name in await database._database.list_collection_names():
        documents = await database._database[name].find().to_list(None)
        kept = {one["_id"]: plain(one) for one in documents if one["_id"] not in BOOKKEEPING}
        if name == "rollups":
            kept = {
                id_: {field: one[field] for field in one if field not in {"turn", "removals"}}
                for id_, one in kept.items()
            }
        if name == "audit":
            kept = {id_: one for id_, one in kept.items() if not one["action"].startswith("examples.")}
        if name not in {"search_segments", "search_parts"} and kept:
            held[name] = kept
    held["indexed"] = await indexed(database)
    return held


async def indexed(database):
    """The ids in the search index."""
    ids = []
    async for document in database.search_segments.find({"_id": {"$ne": JOB_STATE["_id"]}}):
        segment = read_segment(document)
        part = await database.search_parts.find_one({"_id": part_id(segment, IDS)})
        every = [part["data"][at : at + ID_BYTES] for at in range(0, len(part["data"]), ID_BYTES)]
        ids += [UUID(bytes=one) for at, one in enumerate(every) if at not in segment.gone]
    return sorted(ids)


@pytest.fixture
def untouched(databases):
    """A database in which nothing is ever invented."""
    name = databases.take()
    yield databases.connect(name)
    databases.give_back(name)


@pytest.mark.gen_test(timeout=240)
async def test_after_its_removal_a_database_is_as_if_it_had_never_been_there(database, untouched):
    await make_real_calls(database, range(1, 8))
    await refuse_somebody(database)
    for name in await database._database.list_collection_names():
        if documents := await database._database[name].find().to_list(None):
            await untouched._database[name].insert_many(documents)
    await make_real_calls(untouched, range(20, 23))
    await database.interceptions.insert_many(real_calls(range(20, 23)))  # are indexed with invented ones
    example = await fill(database)
    assert await database.interceptions.count_documents({}) == example.calls + 10
    for one in (database, untouched):
        await make_real_calls(one, range(8, 13))
    held = await everything(database)
    assert {name for name in held if any(is_example(id_) for id_ in held[name] if isinstance(id_, UUID))} >= {
        *("interceptions", "users", "groups", "indexed"),
    }
    assert len(held["users"]) == 25
    assert len(held["policies"]) == 3
    assert len(held["sessions"]) > 20
    total = await database.rollups.find_one({"level": "everyone", "bucket": "day"}, sort=[("interceptions", -1)])
    assert total["interceptions"] > 30
    await remove(database)
    for one in (database, untouched):
        await make_real_calls(one, range(13, 16))
    after, expected = await everything(database), await everything(untouched)
    assert after.keys() == expected.keys()
    for name in expected:
        assert after[name] == expected[name], name
    audited = [one["action"] async for one in database.audit.find()]
    assert audited == ["examples.filled", "examples.removed"]


@pytest.mark.gen_test
async def test_who_hung_while_it_was_removed_by_another_one_writes_nothing_more(database):
    clock = [NOW]
    store = ExampleStore(database, now=lambda: clock[0])
    await store.fill()
    hung, other = (ExampleJob(database, holder=uuid4(), now=lambda: clock[0]) for _ in range(2))
    claimed = [await hung._claim()]
    assert await hung.step()
    claimed.append(await hung._claim())
    assert [one.days for one in claimed] == [0, 1]
    assert not await other.step()
    await store.remove()
    assert (await store.remove()).state is ExampleState.REMOVING
    assert not await other.step()
    clock[0] += timedelta(seconds=LEASE_SECONDS + 1)
    while await other.step():
        pass
    assert (await store.read()).state is ExampleState.NONE
    for one in claimed:
        await hung._fill(one)
        assert await everything(database) == {"indexed": []}, one.days


@pytest.mark.gen_test
async def test_a_day_is_written_once_by_who_has_the_work_and_billed_by_nobody(database):
    store = ExampleStore(database, now=lambda: NOW)
    await store.fill()
    job = ExampleJob(database, holder=uuid4(), now=lambda: NOW)
    claimed = await job._claim()
    await job._fill(claimed)
    first = await everything(database)
    assert (len(first["interceptions"]), len(first["users"])) == ((await store.read()).calls, 25)
    assert first["refusals"]
    await job._fill(claimed)
    assert await everything(database) == first
    await database.interceptions.insert_one(real_call(1, NOW - timedelta(days=1)))
    end = NOW.replace(hour=0) + timedelta(days=1)
    rows = await read_recorded(database, ["anthropic", "openai", "gemini"], (), end - timedelta(days=10), end)
    assert [(row.calls, row.model) for row in rows] == [(1, "claude-opus-4-8")]


@pytest.mark.gen_test(timeout=240)
async def test_a_call_that_was_priced_again_meanwhile_is_counted_before_it_is_removed(database, monkeypatch):
    monkeypatch.setattr(store_module, "DAYS", 1)
    monkeypatch.setattr(recosting_module, "BATCH", 5)  # fewer than its calls at night, when nobody else calls
    await make_real_calls(database, range(1, 4))
    before = await everything(database)
    await fill(database)
    ids = [binary(one["_id"]) async for one in database.interceptions.find({"_id": dict(RANGE)}, {"_id": True})]
    clock = [NOW]
    await Recosts(database, now=lambda: clock[0]).request(NOW - timedelta(hours=12), NOW - timedelta(hours=6))
    recosting = Recosting(
        database,
        lambda *_: Cost(Decimal("0.5"), "another table"),
        lambda: asyncio.sleep(0, "v1"),
        holder=uuid4(),
        now=lambda: clock[0],
    )
    repriced = {"_id": dict(RANGE), "uncounted": {"$exists": True}}
    while not (number := await database.interceptions.count_documents(repriced)):
        await recosting.step()
        clock[0] += timedelta(seconds=SETTLE_SECONDS)
    assert number < len(ids)
    await database.together(lambda session: delete_counted(database, ids, session))
    assert await database.interceptions.count_documents({"_id": dict(RANGE)}) == number
    await remove(database)
    assert (await everything(database))["rollups"] == before["rollups"]


@pytest.mark.gen_test
async def test_users_and_groups_who_come_before_they_do_keep_their_names(database):
    identities = Identities(database, now=lambda: NOW, monotonic=lambda: 0.0)
    await Groups(database, identities, now=lambda: NOW).add("Data")
    await ExampleStore(database, now=lambda: NOW).fill()
    await identities.add_user("Ada@example.com", role=Role.MEMBER)
    await ExampleJob(database, holder=uuid4(), now=lambda: NOW).step()
    users = [one["username"] async for one in database.users.find()]
    assert (len(users), "Ada@example.com" in users, "ada@example.com" in users) == (25, True, False)
    groups = sorted([one["name"] async for one in database.groups.find()])
    assert groups == ["Data", "data-example", "mobile", "platform", "research", "support"]


@pytest.mark.gen_test
async def test_it_is_there_once_and_never_beside_a_user_of_the_same_name(database):
    store = ExampleStore(database, now=lambda: NOW)
    with pytest.raises(UnknownIdentityError, match="there is no invented company"):
        await store.remove()
    identities = Identities(database, now=lambda: NOW, monotonic=lambda: 0.0)
    await identities.add_user("Ada@example.com", role=Role.OWNER)
    with pytest.raises(IdentityConflictError, match=r'there is a user named "Ada@example\.com"'):
        await store.fill()
    await identities.remove_user("Ada@example.com")
    await store.fill()
    with pytest.raises(IdentityConflictError, match="there already"):
        await store.fill()


@pytest.mark.gen_test
async def test_it_is_removed_by_itself_before_retention_takes_its_calls(database, monkeypatch):
    await database.prepare(retention=timedelta(days=20))
    clock = [NOW]
    store = ExampleStore(database, now=lambda: clock[0])
    with pytest.raises(IdentityConflictError, match="needs a retention of 28 days or more"):
        await store.fill()
    monkeypatch.setattr(store_module, "FEWEST_DAYS", 2)
    monkeypatch.setattr(store_module, "DAYS", 61)
    assert (await store.fill()).total == 6
    await database.examples.update_one({}, {"$set": {"state": "filled"}})
    job = ExampleJob(database, holder=uuid4(), now=lambda: clock[0])
    assert not await job.step()
    assert (await store.read()).state is ExampleState.FILLED
    clock[0] = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=20 - 5)
    assert await job.step()
    while await job.step():
        pass
    assert (await store.read()).state is ExampleState.NONE


@pytest.mark.gen_test
async def test_a_single_server_is_refused(single_server):
    with pytest.raises(IdentityConflictError, match="no replica set"):
        await ExampleStore(single_server, now=lambda: NOW).fill()


class StoppedError(Exception):
    pass


@pytest.mark.gen_test
async def test_the_job_waits_for_work_and_goes_on_after_an_outage(database, monkeypatch):
    pauses, outcomes = [], [False, DatabaseUnavailableError("away"), True]

    async def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise StoppedError

    async def step():
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    job = ExampleJob(database, holder=uuid4(), now=lambda: NOW, pause=pause)
    monkeypatch.setattr(job, "step", step)
    with pytest.raises(StoppedError):
        await job.run()
    assert pauses == [job_module.IDLE_SECONDS, job_module.IDLE_SECONDS, job_module.STEP_PAUSE_SECONDS]
    assert store_module.SEED == 1
