"""What happens while a round is under way: charges, a clock that is set back, and a server that looks what it can forget."""

from __future__ import annotations

import pytest

from intercept.refusals import Rule
from limits.limit import Amounts, Kind, Limit, Of
from storage.admission.kinds.parameters import MS
from storage.admission.permits import KEEP_NS
from tests.storage.admission.cluster.model import Register, Server, rate, slots

TOKENS = Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", 1_000, window_ns=60_000 * MS)
(TOKENS_NAME, SLOTS_NAME) = ("tokens:60000:user:u", "concurrency:server")


def two_servers():
    register = Register([0, 0])
    servers = [Server(number, register) for number in range(2)]
    for one in servers * 2:
        one.beat()
    return register, *servers


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_charge_before_a_round_is_planned_counts_once_if_its_answer_is_lost_too(is_answered):
    register, ada, bob = two_servers()
    for one in (ada, bob, ada):  # each changes what the other one remembers, and what it knows is too old
        one.start([TOKENS], lambda _: None)
        one.run()
        register.now += 1_100
    ada.start([TOKENS], lambda _: None)
    begun = ada.begin()
    ada.permits.charge(ada.tickets[0][0], Amounts(300))
    ada.plan(begun)
    assert [change.room is not None for change in ada.flights[0][1]] == [True]
    ada.finish(answered=is_answered)
    ada.permits.tick()
    ada.run()
    assert register.ledgers[TOKENS_NAME][0].used == 300


def test_a_server_forgets_no_limit_while_a_round_decides_on_it():
    register, ada, _ = two_servers()
    ada.start([slots(9)], lambda _: None)
    ada.run()
    ada.end_all()
    for _ in range(3):
        ada.permits.tick()
        ada.run()
    register.now += KEEP_NS // MS + 1
    ada.start([slots(9)], lambda _: None)
    ada.read()
    ada.permits.tick()
    ada.finish()
    ada.start([slots(9)], lambda _: None)
    ada.run()
    assert len(ada.tickets) == 2
    assert register.ledgers[SLOTS_NAME][0].held() == 2


def test_a_clock_that_was_set_back_hides_nothing_from_a_server_that_has_yet_to_notice():
    register, ada, bob = two_servers()
    register.skews[0] -= 10_000
    bob.beat()
    limit, admitted = rate(4, 4_000), []
    for one in (bob, ada):
        for _ in range(4):
            one.start([limit], admitted.append)
        one.run()
    assert len(admitted) == 4
