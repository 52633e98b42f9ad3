"""Servers of a cluster as a model: any order of what they do, with answers that are lost or late, and clocks that differ.

The database is a register for each ledger with compare-and-set, as in `storage.admission.ledger_store`. Every admission is
noted at the true time at which it is used; one that the ledger granted at the true time of its entry (it is used at most
an answer later).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from copy import deepcopy
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from limits.limit import Kind
from storage.admission.presence.standing import State
from tests.examples import examples
from tests.storage.admission.cluster.model import ANSWER_MS, Register, Server, rate, slots

WHICH = [[0], [0], [0, 1], [0, 1, 2], [2], [1]]
FATES = ["ok"] * 8 + ["lost answer", "lost", "late write", "late answer", "late answer", "slow", "slow", "hangs"]


class Cluster(RuleBasedStateMachine):
    """Three servers, two rates and slots; what is admitted is compared with the limits at every step."""

    @initialize(
        maximum=st.sampled_from([1, 4, 50, 100, 400]),
        second=st.sampled_from([7, 60]),
        slots_=st.sampled_from([2, 10, 40]),
        window_ms=st.sampled_from([1_000, 4_000, 20_000]),
        skews=st.lists(st.integers(-30_000, 30_000), min_size=3, max_size=3),
    )
    def begin(self, maximum, second, slots_, window_ms, skews):
        self.register = Register(skews)
        self.servers = [Server(number, self.register) for number in range(3)]
        self.numbers = 3
        self.window_ms = window_ms
        self.limits = [rate(maximum, window_ms), rate(second, window_ms, "user:u"), slots(slots_)]
        self.admitted = defaultdict(list)
        self.late = []
        self.late_beats = []
        self.was_cut = False
        for _ in range(2):
            for server in self.servers:
                server.beat()

    def note(self, limits, sent_at):
        now = self.register.now
        for limit in limits:
            if limit.kind is Kind.RATE:
                admitted = self.admitted[limit.key]
                admitted.append((sent_at, now))
                assert sum(requested > now - self.window_ms for requested, _ in admitted) <= limit.maximum

    def start(self, server, number, which):
        sent_at = self.register.now
        for _ in range(number):
            self.servers[server].start([self.limits[nth] for nth in which], lambda limits: self.note(limits, sent_at))

    @rule(
        steps=st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 12),
                st.sampled_from(WHICH),
                st.sampled_from(FATES),
                st.sampled_from([0, 1, 3, 20, 60, 124, 126, 200, 600]),
                st.integers(0, 6),
            ),
            min_size=10,
            max_size=60,
        )
    )
    def traffic(self, steps):
        """Requests start and end, and rounds are made, each with its fate."""
        for server, number, which, fate, gap, ends in steps:
            self.start(server, number, which)
            self.end(server, ends)
            self.one_round(server, fate)
            self.pass_(gap)

    def one_round(self, server, fate):
        one = self.servers[server]
        if fate == "hangs" and one.flights:
            return
        if one.cut or one.standing.state is State.ALONE:
            one.finish(written=False, answered=False)
            return
        if not one.flights:
            one.read()
        if fate == "late answer":
            one.write()
            return
        if fate == "late write" and one.flights:
            self.late.append((deepcopy(one.flights[0][1]), one.name))
        if fate != "slow":
            one.finish(written=fate in {"ok", "lost answer"}, answered=fate == "ok")

    @precondition(lambda self: self.late)
    @rule()
    def late_write_arrives(self):
        self.register.write(*self.late.pop(0))

    def end(self, server, number):
        for _ in range(number):
            if self.servers[server].tickets:
                self.servers[server].permits.end(self.servers[server].tickets.pop(0)[0])

    @rule(ms=st.sampled_from([1_001, 2_500, 6_000]))
    def wait(self, ms):
        self.pass_(ms)

    def pass_(self, ms):
        if (self.register.now + ms) // 1000 != self.register.now // 1000:
            for server in self.servers:
                server.permits.tick()
        seconds = (self.register.now + ms) // 1000 - self.register.now // 1000
        self.register.now += ms
        for server in self.servers:
            server.permits.expire()
            if seconds and (late := server.beat()) is not None:
                self.late_beats.append(late)

    @rule(server=st.integers(0, 2), joined=st.booleans())
    def cut_off(self, server, joined):
        self.servers[server].cut = not joined
        self.was_cut = True

    @rule(server=st.integers(0, 2), fate=st.sampled_from(["lost", "late", "lost answer"]))
    def next_heartbeat_fails(self, server, fate):
        self.servers[server].beat_fate = fate

    @precondition(lambda self: self.late_beats)
    @rule()
    def late_heartbeat_arrives(self):
        self.register.put(self.late_beats.pop(0))

    @rule(primary=st.integers(0, 2))
    def step_down(self, primary):
        self.register.primary = primary

    @rule(server=st.integers(0, 2))
    def kill(self, server):
        gone = self.servers[server]
        if gone.standing.state is State.SHARED and not gone.permits.unreported:  # as its folder says
            self.register.beats.pop(gone.name, None)
        self.servers[server] = Server(self.numbers, self.register)
        self.servers[server].beat()
        self.numbers += 1

    @invariant()
    def no_window_holds_more_than_the_limit(self):
        if not hasattr(self, "admitted"):
            return
        for limit in self.limits[:2]:
            times = [at for _, at in self.admitted[limit.key]]
            window = self.window_ms - ANSWER_MS
            for nth in range(len(times) - limit.maximum):
                assert times[nth + limit.maximum] - times[nth] >= window
        under_way = sum(
            limit.kind is Kind.CONCURRENCY
            for server in self.servers
            for _, limits in server.tickets
            for limit in limits
        )
        # Slots that others already use cannot be left to a server that is cut off.
        assert self.was_cut or under_way <= self.limits[2].maximum


Cluster.TestCase.settings = settings(max_examples=examples(6, 120), stateful_step_count=25)
TestCluster = Cluster.TestCase


def test_under_demand_almost_all_of_a_full_window_is_used():
    register, window_ms = Register([0, 0, 0]), 1_000
    servers = [Server(number, register) for number in range(3)]
    limits, admitted, random = [rate(100, window_ms)], [], Random(7)
    for step in range(4 * window_ms // 5):
        register.now += 5
        for server in servers:
            if random.random() < (0.02, 0.5, 0.1)[(step // 100 + servers.index(server)) % 3]:
                server.start(limits, lambda _: admitted.append(register.now))
            server.permits.expire()
            server.run()
            if step % 200 == 0:
                server.permits.tick()
    windows = 3
    used = sum(at > register.now - windows * window_ms for at in admitted)
    assert 95 * windows <= used <= 100 * (windows + 1)


@pytest.mark.parametrize(("maximum", "gap_ms"), [(100, 100), (400, 5)])
def test_a_server_that_is_paused_keeps_a_twentieth_of_a_window_at_most(maximum, gap_ms):
    register = Register([0, 0, 0])
    servers, admitted = [Server(number, register) for number in range(3)], []
    for server in servers * 2:
        server.beat()
    for step in range(3 * maximum // 10):  # all three are far from the limit, and prefetch
        register.now += gap_ms if step % 3 == 0 else 0
        servers[step % 3].start([rate(maximum, 20_000)], admitted.append)
        servers[step % 3].run()
    assert len(admitted) == 3 * maximum // 10
    for _ in range(16):
        servers[0].start([rate(maximum, 20_000)], admitted.append)
    servers[0].read()
    servers[0].write()  # now it is paused, and the answer too late
    for step in range(2 * maximum):
        register.now += step % 2
        servers[1 + step % 2].start([rate(maximum, 20_000)], admitted.append)
        servers[1 + step % 2].run()
    assert 0.95 * maximum <= len(admitted) <= maximum


@pytest.mark.parametrize(("maximum", "gap_ms", "least"), [(100, 40, 95), (400, 0, 375)])
def test_what_was_used_far_from_a_limit_is_free_a_window_later(maximum, gap_ms, least):
    register, window_ms = Register([0, 0, 0]), 5_000
    servers, admitted, used = [Server(number, register) for number in range(3)], [], []

    def start(server):
        waiting = server.start([rate(maximum, window_ms)], lambda _: admitted.append(register.now))
        server.permits.expire()
        server.run()
        if waiting.decision.ticket is None:
            used.append(len(admitted) - bisect_right(admitted, register.now - window_ms))

    def pass_(ms):
        register.now += ms
        if register.now % 1_000 < ms:
            for server in servers:
                server.permits.tick()
                server.beat()

    for server in servers * 2:
        server.beat()
    for _ in range(maximum // 5):
        for server in servers:  # each with rounds of its own, as one round would take less ahead
            start(server)
        pass_(gap_ms)
    while register.now < 10_000_000 + 3 * window_ms // 2:
        pass_(5)
        start(servers[register.now // 5 % 3])
    assert len(used) > 100
    assert least <= min(used) <= max(used) <= maximum


@pytest.mark.parametrize(("maximum", "gap_ms", "starts", "waits"), [(100, 1_000, 70, 37), (1_000, 100, 700, 6)])
def test_how_many_requests_wait_for_a_round_where_three_servers_share_a_rate(maximum, gap_ms, starts, waits):
    register = Register([0, 0, 0])
    servers = [Server(number, register) for number in range(3)]
    for server in servers * 2:
        server.beat()
    waited = 0
    for step in range(starts):
        register.now += gap_ms
        for server in servers:
            if step * gap_ms % 1_000 == 0:
                server.permits.tick()
                server.beat()
            server.permits.expire()
            server.run()
        one = servers[step % 3]
        waited += one.start([rate(maximum, 60_000)], lambda _: None).decision is None
        one.run()
    assert waited == waits


def test_a_write_that_another_server_forestalled_leaves_nothing_untold():
    register = Register([0, 0])
    one, other = Server(0, register), Server(1, register)
    for server in (one, one, one, other):
        server.start([slots(8)], lambda _: None)
        server.run()
    one.start([slots(8)], lambda _: None)
    one.read()
    one.finish()  # it remembered the ledger as it was before the other changed it
    assert one.permits.pending
    assert not one.permits.unreported
    one.run()
    assert len(one.tickets) == 4
    one.permits.report_uncounted()  # the others may have taken it for dead, and have forgotten what it holds
    assert one.permits.unreported
    one.run()
    assert not one.permits.unreported


class Restless(Register):
    """A database whose time, and that of its servers, goes on with every look at it."""

    @property
    def now(self):
        self._now += 1
        return self._now

    @now.setter
    def now(self, now):
        self._now = now


@pytest.mark.parametrize("maximum", [400, 20_000])
def test_a_permit_may_end_while_a_request_is_admitted_with_it(maximum):
    register = Restless([0])
    server, admitted = Server(0, register), []
    for _ in range(500):
        server.start([rate(maximum, 1_200)], admitted.append)
        server.run()
    assert len(admitted) > 50


def test_slots_that_are_being_given_back_are_not_used_any_more():
    register = Register([0, 0])
    one, other = Server(0, register), Server(1, register)
    for _ in range(3):  # used again and again, slots are held ahead
        for _ in range(20):
            one.start([slots(40)], lambda _: None)
        one.run()
        one.end_all()
        register.now += 200
    for _ in range(2):
        one.permits.tick()
        register.now += 1_001
    one.read()
    one.write()  # and the answer is not there yet
    for server in (other, one):
        for _ in range(40):
            server.start([slots(40)], lambda _: None)
    other.run()
    assert (len(one.tickets), len(other.tickets)) == (0, 40)
    one.finish()
    one.run()
    assert (len(one.tickets), len(other.tickets)) == (0, 40)


def test_a_server_far_from_a_limit_makes_few_rounds():
    register = Register([0])
    server, rounds, admitted = Server(0, register), 0, []
    for step in range(4_000):
        register.now += step % 2
        server.start([rate(1_000_000, 60_000), slots(1_000)], admitted.append)
        if len(server.tickets) > 20:
            server.permits.end(server.tickets.pop(0)[0])
        while server.permits.pending:
            server.read()
            server.finish()
            rounds += 1
    assert len(admitted) == 4_000
    assert rounds < 80
