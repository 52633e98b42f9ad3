import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from storage.admission import shared_ledgers
from storage.admission.ledger import RateLimit, Ruling, Used
from storage.admission.shared_ledger import Terms
from storage.admission.shared_ledgers import SharedLedgers
from storage.mongo.database import DatabaseUnavailableError

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SLOTS = Terms(UUID(int=1), 30_000, slots=2, slots_limit="concurrency")
RATE = Terms(UUID(int=1), 30_000, rates={"rate": RateLimit(2, 1000)})


class Database:
    """Grants everything, batch by batch, when the test says so."""

    def __init__(self):
        self.batches = asyncio.Queue()
        self.outcomes = asyncio.Queue()

    async def decide(self, asks):
        self.batches.put_nowait(asks)
        outcome = await self.outcomes.get()
        if outcome is not None:
            raise outcome
        return {name: Ruling(ask.number, ask.wanted, 9, NOON, (Used(0, None, NOON),)) for name, ask in asks.items()}

    async def answer(self, outcome=None):
        """Wait for a batch and answer it; what was wanted of each ledger."""
        asks = await self.batches.get()
        self.outcomes.put_nowait(outcome)
        return {name: ask.wanted for name, ask in asks.items()}


@pytest.fixture
def database(io_loop):
    return Database()


@pytest.fixture
def ledgers(database):
    return SharedLedgers(database.decide)


def asking(ledgers, *names, terms=RATE):
    return [asyncio.create_task(ledgers.get(name, terms).ask(*("key" for _ in terms.rates))) for name in names]


@pytest.mark.gen_test
async def test_who_comes_while_a_batch_is_under_way_is_in_the_next_one_whatever_the_ledger(ledgers, database):
    first = asking(ledgers, "a")
    under_way = await database.batches.get()
    others = asking(ledgers, "b", "a", "b", "c")
    await asyncio.sleep(0)
    database.outcomes.put_nowait(None)
    assert [ask.wanted for ask in under_way.values()] == [1]
    assert await database.answer() == {"b": 2, "a": 1, "c": 1}
    verdicts = await asyncio.gather(*first, *others)
    assert [verdict.refused_by for verdict in verdicts] == [None] * 5
    assert (len(ledgers), database.batches.empty()) == (0, True)


@pytest.mark.gen_test
async def test_a_batch_is_bounded_and_nobody_is_left_behind(ledgers, database, monkeypatch):
    monkeypatch.setattr(shared_ledgers, "BATCH_LEDGERS", 2)
    waiting = asking(ledgers, "a", "b", "c", "a", "d", "e")
    batches = [await database.answer() for _ in range(3)]
    assert batches == [{"a": 2, "b": 1}, {"c": 1, "d": 1}, {"e": 1}]
    await asyncio.gather(*waiting)


@pytest.mark.gen_test
async def test_keys_of_one_ledger_are_decided_in_batches_of_their_own(ledgers, database):
    ledger = ledgers.get("a", RATE)
    waiting = [asyncio.create_task(ledger.ask(key)) for key in "xxy"]
    assert [await database.answer() for _ in range(2)] == [{"a": 2}, {"a": 1}]
    await asyncio.gather(*waiting)


@pytest.mark.gen_test
async def test_each_batch_has_a_number_of_its_own(ledgers, database):
    numbers = []
    for _ in range(2):
        waiting = asking(ledgers, "a")
        (ask,) = (await database.batches.get()).values()
        numbers.append(ask.number)
        database.outcomes.put_nowait(None)
        await asyncio.gather(*waiting)
    assert numbers == [1, 2]


@pytest.mark.gen_test
async def test_a_ledger_is_remembered_while_something_is_held_and_what_is_given_back_is_written(ledgers, database):
    (waiting,) = asking(ledgers, "a", terms=SLOTS)
    await database.answer()
    verdict = await waiting
    assert len(ledgers) == 1
    verdict.slot.release()
    assert await database.answer() == {"a": 0}
    await ledgers.renew()
    assert len(ledgers) == 0


@pytest.mark.gen_test
async def test_renewing_writes_what_is_held_and_nothing_else(ledgers, database):
    waiting = asking(ledgers, "a", "b", terms=SLOTS)
    await database.answer()
    await asyncio.gather(*waiting)
    renewing = asyncio.create_task(ledgers.renew())
    assert await database.answer() == {"a": 0, "b": 0}
    await renewing
    assert database.batches.empty()


@pytest.mark.gen_test
async def test_when_a_batch_fails_nobody_waits_for_another_one(ledgers, database):
    first = asking(ledgers, "a", terms=SLOTS)
    await database.batches.get()
    others = asking(ledgers, "b", "c") + asking(ledgers, "a", terms=SLOTS)
    await asyncio.sleep(0)
    database.outcomes.put_nowait(DatabaseUnavailableError("away"))
    verdicts = await asyncio.gather(*first, *others)
    assert [(verdict.refused_by, verdict.rates) for verdict in verdicts] == [(None, ())] * 4
    assert database.batches.empty()
    assert len(ledgers) == 1
    renewing = asyncio.create_task(ledgers.renew())
    (ask,) = (await database.batches.get()).values()
    assert (ask.wanted, ask.held) == (0, 2)
    database.outcomes.put_nowait(None)
    await renewing


@pytest.mark.expects_log("ERROR asyncio: Task exception was never retrieved")
@pytest.mark.gen_test
async def test_nobody_is_left_waiting_by_a_fault_of_the_program(ledgers, database):
    (waiting,) = asking(ledgers, "a")
    await database.answer(RuntimeError("asked for"))
    assert await waiting == (None, None, ())
    (waiting,) = asking(ledgers, "a")
    await database.answer()
    assert (await waiting).rates[0].remaining == 1


@pytest.mark.gen_test
async def test_a_ledger_without_a_ruling_is_not_known_and_the_others_are(io_loop):
    async def decide(asks):
        return {"a": Ruling(asks["a"].number, 1, 9, NOON, (Used(0, None, NOON),))}

    ledgers = SharedLedgers(decide)
    known, unknown = await asyncio.gather(*asking(ledgers, "a", "b"))
    assert (known.rates[0].remaining, unknown.rates) == (1, ())


@pytest.mark.gen_test
async def test_a_ledger_that_got_no_ruling_and_was_asked_again_meanwhile_holds_up_no_other():
    gate = asyncio.Event()

    async def rules_on_nothing(_asks):
        await gate.wait()
        return {}

    ledgers = SharedLedgers(rules_on_nothing)
    first = asking(ledgers, "a")
    await asyncio.sleep(0)
    rest = asking(ledgers, "a", "b")
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*first, *rest, return_exceptions=True), 5)
    assert not ledgers._ledgers
