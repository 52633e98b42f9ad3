"""What the database makes of the statements, compared with what the model says it should."""

import asyncio
import time
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from intercept.refusals import Rule
from limits.limit import UNLIMITED, Kind, Limit, Of, Period
from storage.admission.kinds.parameters import MS, name_of, window_of
from storage.admission.ledger import MAX_SKEW_MS, Ledger, Member
from storage.admission.ledger_documents import document_of, ledger_of, statement_of
from storage.admission.ledger_store import LedgerStore
from storage.admission.round import Change
from tests.examples import examples
from tests.storage.admission.cluster.model import added, rate, slots

OWN = str(uuid4())
OTHERS = [str(uuid4()) for _ in range(2)]
NOW = 1_760_000_000_000
WINDOW_MS = 10_000
BUDGET = Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:u", 50, period=Period.MONTH)

times = st.integers(NOW - 2 * WINDOW_MS, NOW + 5_000)
entries = st.lists(st.tuples(times, st.integers(1, 9)), max_size=6).map(sorted)
members = st.builds(Member, st.integers(0, 9), st.integers(0, 3), st.integers(0, 6), st.just(NOW - 7))
ledgers = st.builds(
    Ledger, st.sampled_from("aab"), entries, st.dictionaries(st.sampled_from([OWN, *OTHERS]), members, max_size=3)
)


def adding(limit, room, count, held, *, number=5, report=0, now=NOW):
    ledger = Ledger("a", [(now, count)] if count else [], {OWN: Member(held, report, number, now)})
    return Change(name_of(limit), None, f"{OWN}.{number}", ledger, limit, room)


def writing(limit, ledger, version, before=None, base=""):
    return Change(name_of(limit), before, version, ledger, limit, base=base)


@pytest.mark.gen_test(timeout=120)
async def test_the_database_adds_what_there_is_room_for_and_nothing_else(database):
    loop = asyncio.get_running_loop()
    found = []

    async def write(limit, before, change):
        await database.limit_ledgers.delete_many({})
        if before is not None:
            await database.limit_ledgers.insert_one(document_of(writing(limit, before, "other.1")))
        done = await database.limit_ledgers.bulk_write([statement_of(change, OWN)])
        return done.bulk_api_result, await database.limit_ledgers.find_one({"_id": change.name})

    @settings(max_examples=examples(30, 300), deadline=None)
    @given(
        st.sampled_from([rate(100, WINDOW_MS), slots(40), rate(UNLIMITED, WINDOW_MS)]),
        st.none() | ledgers,
        st.integers(0, 40),
        st.tuples(st.integers(0, 4), st.integers(0, 4)),
        st.integers(0, 4),
    )
    def compare(limit, before, room, count_and_held, report):
        change = adding(limit, room, *count_and_held, report=report)
        done, document = asyncio.run_coroutine_threadsafe(write(limit, before, change), loop).result()
        expected = change.ledger if before is None else added(before, change, OWN, NOW)
        found.append(expected is None)
        counted = expected is not None
        assert done["nModified"] + done["nUpserted"] == counted
        assert document["version"] == (change.after if counted else "other.1")
        ledger = ledger_of(document)
        assert ledger == (expected if counted else before)
        last = max([at for at, _ in ledger.entries], default=0)
        least = last + window_of(limit) + MAX_SKEW_MS if ledger.entries else 0
        assert document["expires_at"].timestamp() * 1000 >= least
        if before is not None:
            assert (document.get("base") == "other.1") is counted

    await asyncio.to_thread(compare)
    assert {True, False} == set(found)


@pytest.mark.gen_test
async def test_each_change_of_many_is_made_or_not_and_it_is_known_which(database):
    store = LedgerStore(database, OWN, lambda: 0)
    kinds = [rate(10, WINDOW_MS, f"token:{number}") for number in range(6)]
    full = Ledger("a", [(NOW, 10)], {OTHERS[0]: Member(0, 0, 1, NOW)})
    for limit in kinds[:5]:
        await database.limit_ledgers.insert_one(document_of(writing(limit, full, "other.1")))
    new = Ledger("a", [(NOW, 1)], {OWN: Member(0, 0, 5, NOW)})
    own = f"{OWN}.5"
    changes = [
        writing(kinds[0], new, own, "other.1"),  # as it was
        writing(kinds[1], new, own, "other.0"),  # somebody changed it
        writing(kinds[2], new, own),  # there is one by now
        adding(kinds[3], 9, 1, 0),  # there is no room
        adding(kinds[4], 10, 1, 0),
        adding(kinds[5], 0, 1, 0),  # there is none yet
    ]
    outcome = await store.write(changes)
    assert set(outcome.counted) == {changes[nth].name for nth in (0, 4, 5)}
    assert set(outcome.new) == {changes[5].name}
    assert outcome.seen[changes[3].name] == (full, "other.1", "")
    (alone,) = (await store.write([adding(kinds[3], 9, 1, 0)])).counted or [None]
    assert alone is None
    # What was added to a ledger is remembered without having been read: its base has to be right.
    again = [
        writing(kinds[4], new, f"{OWN}.6", own, "other.0"),
        writing(kinds[4], new, f"{OWN}.6", own, "other.1"),
    ]
    assert [set((await store.write([one])).counted) for one in again] == [set(), {again[1].name}]


@pytest.mark.gen_test
async def test_what_is_added_late_does_not_undo_what_its_server_wrote_since(database):
    store = LedgerStore(database, OWN, lambda: 0)
    await store.write([adding(slots(8), 8, 0, 2, number=5)])
    await store.write([adding(slots(8), 8, 0, 6, number=7)])
    assert not (await store.write([adding(slots(8), 8, 0, 3, number=6)])).counted
    document = await database.limit_ledgers.find_one({"_id": "concurrency:server"})
    assert ledger_of(document).held() == 6


@pytest.mark.gen_test
async def test_nothing_is_added_at_a_time_that_the_database_has_yet_to_reach(database):
    store = LedgerStore(database, OWN, lambda: 0)
    soon = time.time_ns() // MS + 60_000  # as a server believes that heard from the clock before it was set back
    before = Ledger("a", [(soon - 60_000, 10)], {OTHERS[0]: Member(0, 0, 1, soon - 60_000)})
    await database.limit_ledgers.insert_one(document_of(writing(rate(10, WINDOW_MS), before, "other.1")))
    for now, number in ((soon, 0), (soon - 120_000, 1)):
        change = adding(rate(20, WINDOW_MS), 10, 1, 0, now=now)
        assert len((await store.write([change])).counted) == number


@pytest.mark.gen_test
async def test_what_counts_of_a_budget_is_its_period(database):
    store = LedgerStore(database, OWN, lambda: 0)
    before = Ledger("a", [(NOW - 40 * 86_400_000, 30), (NOW, 20)], {OTHERS[0]: Member(3, 0, 1, NOW)})
    for room, number in ((22, 0), (23, 1)):
        await database.limit_ledgers.delete_many({})
        await database.limit_ledgers.insert_one(document_of(writing(BUDGET, before, "other.1")))
        assert len((await store.write([adding(BUDGET, room, 0, 4)])).counted) == number
