import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from storage.admission.ledger import Ask, Counted, RateLimit, Ruling, Used
from storage.admission.shared_ledger import SharedLedger, Terms

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADA = UUID(int=1)
SLOTS = Terms(ADA, 30_000, slots=2, slots_limit="concurrency")
RATE = Terms(ADA, 30_000, rates={"rate": RateLimit(2, 1000)})
BOTH = Terms(ADA, 30_000, slots=2, slots_limit="user_concurrency", rates={"rate": RateLimit(9, 1000)})
TWO = Terms(ADA, 30_000, rates={"rate": RateLimit(9, 1000), "user_rate": RateLimit(9, 1000)})


class Ledger(SharedLedger):
    """A ledger whose asks a test takes and settles by hand."""

    def __init__(self, terms):
        self.calls = 0
        super().__init__(terms, self.called)

    def called(self):
        self.calls += 1

    async def asking(self, *keys):
        """Requests that wait."""
        asking = [asyncio.create_task(self.ask(*(key,) * len(self._terms.rates))) for key in keys]
        await asyncio.sleep(0)
        return asking


def ask(terms, wanted, held=0, key="", number=7, *, counted=True):
    rates = tuple(Counted(key, rate) for rate in terms.rates.values()) if counted and wanted else ()
    return Ask(ADA, number, wanted, held, terms.slots, 30_000, rates)


def ruling(granted, *, free=9, used=0):
    return Ruling(7, granted, free, NOON, (Used(used, None, NOON),))


@pytest.mark.gen_test
async def test_one_request_is_one_ask():
    ledger = Ledger(BOTH)
    (asking,) = await ledger.asking("a")
    assert (ledger.calls, ledger.unsaid, ledger.next_ask(7)) == (1, True, ask(BOTH, 1, key="a"))
    ledger.settle(ruling(1, free=2, used=3))
    verdict = await asking
    assert (verdict.refused_by, verdict.rates[0].remaining) == (None, 5)
    assert (ledger.held, ledger.unsaid, ledger.idle) == (1, False, False)


@pytest.mark.gen_test
async def test_all_that_wait_for_one_key_are_one_ask_and_the_first_of_them_are_admitted():
    ledger = Ledger(RATE)
    asking = await ledger.asking("", "", "")
    assert ledger.next_ask(7) == ask(RATE, 3)
    ledger.settle(ruling(1, used=1))
    assert [(await one).refused_by for one in asking] == [None, "rate", "rate"]
    assert ledger.idle


@pytest.mark.gen_test
async def test_who_comes_after_the_ask_is_in_the_next_one():
    ledger = Ledger(RATE)
    (first,) = await ledger.asking("")
    assert ledger.next_ask(1) == ask(RATE, 1, number=1)
    (second,) = await ledger.asking("")
    ledger.settle(ruling(1))
    assert (await first).refused_by is None
    assert (ledger.unsaid, ledger.next_ask(2)) == (True, ask(RATE, 1, number=2))
    ledger.settle(ruling(0, used=2))
    assert (await second).refused_by == "rate"


@pytest.mark.gen_test
async def test_keys_of_one_ledger_are_asked_for_in_turn():
    ledger = Ledger(BOTH)
    asking = await ledger.asking("a", "a", "b")
    assert ledger.next_ask(7) == ask(BOTH, 2, key="a")
    ledger.settle(ruling(2))
    assert ledger.next_ask(7) == ask(BOTH, 1, held=2, key="b")
    ledger.settle(ruling(0, free=0))
    assert [(await one).refused_by for one in asking] == [None, None, "user_concurrency"]


@pytest.mark.parametrize(("free", "refused_by"), [(0, "user_concurrency"), (1, "rate"), (-3, "user_concurrency")])
@pytest.mark.gen_test
async def test_what_ran_out_is_what_refuses(free, refused_by):
    ledger = Ledger(BOTH)
    (asking,) = await ledger.asking("a")
    ledger.next_ask(7)
    ledger.settle(ruling(0, free=free, used=9))
    verdict = await asking
    assert (verdict.refused_by, verdict.slot, verdict.rates[0].remaining, ledger.held) == (refused_by, None, 0, 0)


@pytest.mark.parametrize(("waits", "refused_by"), [((1, 2), "user_rate"), ((2, 1), "rate"), ((None, 1), "user_rate")])
@pytest.mark.gen_test
async def test_of_two_rates_the_one_with_the_longer_wait_refuses(waits, refused_by):
    ledger = Ledger(TWO)
    (asking,) = await ledger.asking("a")
    ledger.next_ask(7)
    used = [
        Used(8, None, NOON) if wait is None else Used(9, NOON + timedelta(milliseconds=wait), NOON) for wait in waits
    ]
    ledger.settle(Ruling(7, 0, 9, NOON, tuple(used)))
    assert (await asking).refused_by == refused_by


@pytest.mark.gen_test
async def test_what_is_given_back_is_written_down_and_again_changes_nothing():
    ledger = Ledger(SLOTS)
    (asking,) = await ledger.asking("")
    ledger.next_ask(7)
    ledger.settle(ruling(1))
    slot = (await asking).slot
    slot.release()
    slot.release()
    assert (ledger.calls, ledger.held, ledger.idle) == (2, 0, False)
    assert ledger.next_ask(7) == ask(SLOTS, 0)
    ledger.settle(ruling(0))
    assert ledger.idle


@pytest.mark.gen_test
async def test_what_is_given_back_after_the_ask_is_in_the_next_one():
    ledger = Ledger(SLOTS)
    (first,) = await ledger.asking("")
    ledger.next_ask(7)
    ledger.settle(ruling(1))
    (second,) = await ledger.asking("")
    assert ledger.next_ask(7) == ask(SLOTS, 1, held=1)
    (await first).slot.release()
    ledger.settle(ruling(1))
    assert (await second).slot is not None
    assert (ledger.unsaid, ledger.next_ask(7)) == (True, ask(SLOTS, 0, held=1))


@pytest.mark.gen_test
async def test_who_leaves_before_the_answer_holds_nothing():
    ledger = Ledger(SLOTS)
    (asking,) = await ledger.asking("")
    ledger.next_ask(7)
    asking.cancel()
    await asyncio.wait({asking})
    ledger.settle(ruling(1))
    assert (ledger.held, ledger.unsaid, ledger.next_ask(7)) == (0, True, ask(SLOTS, 0))


@pytest.mark.gen_test
async def test_when_nobody_knows_all_may_start_and_what_they_hold_is_written_down_later():
    ledger = Ledger(BOTH)
    asking = await ledger.asking("a", "b")
    ledger.next_ask(7)
    ledger.give_up()
    verdicts = [await one for one in asking]
    assert [(verdict.refused_by, verdict.rates) for verdict in verdicts] == [(None, ())] * 2
    verdicts[0].slot.release()
    assert (ledger.held, ledger.next_ask(7)) == (1, ask(BOTH, 0, held=1, counted=False))


@pytest.mark.gen_test
async def test_an_ask_that_may_have_been_written_or_not_is_set_right_though_nothing_is_held():
    ledger = Ledger(SLOTS)
    (asking,) = await ledger.asking("")
    ledger.next_ask(7)
    ledger.give_up()
    (await asking).slot.release()
    ledger.next_ask(7)
    ledger.give_up()
    assert (ledger.held, ledger.idle) == (0, False)
    calls = ledger.calls
    ledger.renew()
    assert (ledger.calls, ledger.next_ask(7)) == (calls + 1, ask(SLOTS, 0))


@pytest.mark.gen_test
async def test_a_ledger_without_slots_holds_nothing_and_has_nothing_to_renew():
    ledger = Ledger(RATE)
    (asking,) = await ledger.asking("")
    ledger.next_ask(7)
    ledger.give_up()
    assert await asking == (None, None, ())
    ledger.renew()
    assert (ledger.calls, ledger.idle) == (1, True)
