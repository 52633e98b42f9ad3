"""Limits that the database decides, and others that it does not know, decided together."""

from datetime import timedelta

import pytest

from intercept.refusals import Rule
from limits.limit import SLOT_RETRY_NS, Amounts, LimitState
from limits.limiter import Limiter
from limits.request_limits import Client, LimitSettings, RequestLimits
from storage.admission.authority import SharedAuthority
from storage.admission.ledger import Rate
from storage.admission.shared_ledger import Verdict
from tests.limits.at_once import at_once
from tests.limits.clock import SECOND, Clock

LIMITS = RequestLimits(
    LimitSettings(
        max_concurrency=2,
        user_max_concurrency=2,
        rate_limit=5,
        user_rate_limit=6,
        rate_window=timedelta(seconds=10),
        user_token_limit=9,
    )
)
SERVER = LIMITS.of_server()
CLIENT = LIMITS.of_client(Client("t", "ada"))
USER_SLOTS, RATE, USER_RATE, TOKENS = CLIENT
RATES = (Rate(5, 3, 0, SECOND), Rate(6, 0, 4 * SECOND, 7 * SECOND))
TOLD = (LimitState(RATE, 2, 3, 0, SECOND), LimitState(USER_RATE, 6, 0, 4 * SECOND, 7 * SECOND))


class Slot:
    released = 0

    def release(self):
        self.released += 1


class Admissions:
    """Says what the test wants said, and keeps what it was asked."""

    away = False

    def __init__(self, verdict):
        self.verdict = verdict
        self.asked = []

    async def take_slot(self):
        self.asked.append("slot")
        return self.verdict

    async def count_request(self, key, user_key):
        self.asked.append((key, user_key))
        return self.verdict


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shared(clock):
    """An authority that asks these admissions."""
    return lambda admissions: SharedAuthority(admissions, Limiter(clock, clock))


def test_what_is_left_for_all_is_told_beside_what_this_process_decides(shared):
    admissions = Admissions(Verdict(None, Slot(), RATES))
    authority = shared(admissions)
    decision = at_once(authority.start(CLIENT))
    assert decision.states == (LimitState(USER_SLOTS, 1, 1, 0, 0), *TOLD, LimitState(TOKENS, 0, 9, 0, 0))
    assert admissions.asked == [("t", "ada")]
    authority.charge(decision.ticket, Amounts(tokens=4))
    for _ in range(2):
        authority.end(decision.ticket)
    assert admissions.verdict.slot.released == 1
    assert [state.used for state in authority.limiter.states(CLIENT)] == [0, 1, 1, 4]
    assert len(authority.limiter) == 0


def test_a_refusal_for_all_counts_for_nothing_here(shared):
    authority = shared(Admissions(Verdict("user_rate", None, RATES)))
    decision = at_once(authority.start(CLIENT))
    assert (decision.ticket, decision.refused_by, decision.retry_after_ns) == (None, TOLD[1], 4 * SECOND)
    assert decision.states[1:3] == TOLD
    assert authority.limiter.keys == 0


def test_slots_that_others_have_are_refused_with_the_wait_for_slots(shared):
    authority = shared(Admissions(Verdict("user_concurrency", None, RATES)))
    decision = at_once(authority.start(CLIENT))
    assert decision.refused_by == LimitState(USER_SLOTS, 2, 0, SLOT_RETRY_NS, 0)
    assert decision.retry_after_ns == 4 * SECOND


def test_what_this_process_refuses_gives_back_the_slot_that_it_was_given(shared):
    admissions = Admissions(Verdict(None, Slot(), RATES))
    authority = shared(admissions)
    held = at_once(authority.start(CLIENT)).ticket
    authority.charge(held, Amounts(tokens=9))
    admissions.verdict = Verdict(None, Slot(), RATES)
    decision = at_once(authority.start(CLIENT))
    assert (decision.ticket, decision.refused_by.limit.rule) == (None, Rule.USER_TOKENS)
    assert admissions.verdict.slot.released == 1


def test_while_nobody_can_tell_this_process_knows_what_it_admitted_before(shared):
    admissions = Admissions(Verdict(None, None, RATES))
    authority = shared(admissions)
    at_once(authority.start([RATE, USER_RATE]))
    admissions.verdict = Verdict()
    for _ in range(4):
        assert at_once(authority.start([RATE, USER_RATE])).ticket is not None
    assert at_once(authority.start([RATE, USER_RATE])).refused_by.limit == RATE


def test_who_has_all_slots_alone_asks_nobody(shared):
    admissions = Admissions(Verdict(None, Slot()))
    authority = shared(admissions)
    for _ in range(2):
        at_once(authority.start(SERVER))
    decision = at_once(authority.start(SERVER))
    assert decision.refused_by == LimitState(SERVER[0], 2, 0, SLOT_RETRY_NS, 0)
    assert admissions.asked == ["slot", "slot"]
