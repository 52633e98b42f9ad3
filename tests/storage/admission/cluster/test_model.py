"""Servers of a cluster as a model: any order of what they do, with answers that are lost or late, and clocks that differ.

The database is a register for each ledger, changed as the statements change it. Every admission is noted at the true time at
which it is used, and when it was asked for.
"""

from bisect import bisect_right
from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from limits.limit import LimitKind
from storage.admission.ledger import GRANT_MS, name_of
from tests.examples import examples
from tests.storage.admission.cluster.model import Register, Server, rate, slots

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
        self.answers = {}
        self.fates = {}
        self.was_cut = False
        self.alone = {}
        for _ in range(2):
            for server in self.servers:
                server.beat()

    def note(self, server, limits, sent_at):
        now = self.register.now
        if server.alone:
            self.alone[server.name] = (now, server.rounds.alone)
        for limit in limits:
            if limit.kind is LimitKind.RATE:
                admitted = self.admitted[limit.key]
                admitted.append((sent_at, now))
                used = sum(requested > now - self.window_ms for requested, _ in admitted)
                assert used <= limit.maximum + self.shares(limit, now)

    def shares(self, limit, now):
        """What those may have admitted beyond a limit that decided alone in this window, or shortly before."""
        begin = now - self.window_ms - GRANT_MS
        return sum(share.of(limit.maximum) for at, share in self.alone.values() if at > begin)

    def start(self, server, number, which):
        sent_at, one = self.register.now, self.servers[server]
        for _ in range(number):
            one.start([self.limits[nth] for nth in which], lambda limits: self.note(one, limits, sent_at))

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
            for _ in range(ends):
                self.servers[server].end()
            self.one_round(self.servers[server], fate)
            self.pass_(gap)

    def one_round(self, one, fate):
        if (fate == "hangs" and one.flight) or one.alone:
            return
        if one.cut:
            one.finish(None)
            return
        one.begin()
        if one.flight is None or fate == "slow":
            return
        if fate == "late write":
            self.late.append(one.flight[1])
        if fate in {"ok", "lost answer", "late answer"}:
            one.write()
        if fate == "late answer":
            self.answers[one.name] = one.read()
            return
        answer = self.answers.pop(one.name, None) or one.read()
        one.finish(answer if fate == "ok" else None)

    @precondition(lambda self: self.late)
    @rule()
    def late_write_arrives(self):
        self.register.write(self.late.pop(0))

    @rule(ms=st.sampled_from([1_001, 2_500, 6_000]))
    def wait(self, ms):
        self.pass_(ms)

    def pass_(self, ms):
        seconds = (self.register.now + ms) // 1000 - self.register.now // 1000
        self.register.now += ms
        for server in self.servers if seconds else ():
            late = server.beat(self.fates.pop(server.name, "ok"))
            if late is not None:
                self.late_beats.append(late)

    @rule(server=st.integers(0, 2), joined=st.booleans())
    def cut_off(self, server, joined):
        self.servers[server].cut = not joined

    @rule(server=st.integers(0, 2), fate=st.sampled_from(["lost", "late"]))
    def next_heartbeat_fails(self, server, fate):
        self.fates[self.servers[server].name] = fate

    @precondition(lambda self: self.late_beats)
    @rule()
    def late_heartbeat_arrives(self):
        self.register.put(*self.late_beats.pop(0))

    @rule(primary=st.integers(0, 2))
    def step_down(self, primary):
        self.register.primary = primary

    @rule(server=st.integers(0, 2))
    def kill(self, server):
        gone = self.servers[server]
        self.register.beats.pop(gone.name, None)
        self.servers[server] = Server(self.numbers, self.register)
        self.servers[server].beat()
        self.numbers += 1

    @invariant()
    def slots_hold_aside_from_those_that_decide_alone(self):
        if not hasattr(self, "admitted"):
            return
        self.was_cut = self.was_cut or any(server.alone for server in self.servers)
        under_way = sum(
            limit.kind is LimitKind.CONCURRENCY
            for server in self.servers
            for _, limits in server.tickets
            for limit in limits
        )
        # Slots that others already use cannot be left to a server that is cut off.
        assert self.was_cut or under_way <= self.limits[2].maximum


Cluster.TestCase.settings = settings(max_examples=examples(6, 120), stateful_step_count=25)
TestCluster = Cluster.TestCase


def three_of(register):
    servers = [Server(number, register) for number in range(3)]
    for server in servers * 2:
        server.beat()
    return servers


def test_all_of_a_window_is_used_under_demand():
    register, window_ms, admitted = Register([0, 0, 0]), 1_000, []
    servers = three_of(register)
    for step in range(1_600):
        register.now += 5
        if step % 200 == 0:
            for server in servers:
                server.beat()
        one = servers[step % 3]
        one.start([rate(100, window_ms)], lambda _: admitted.append(register.now))
        one.run()
    used = [nth + 1 - bisect_right(admitted, at - window_ms) for nth, at in enumerate(admitted)]
    assert max(used) == 100
    assert len(admitted) >= 8 * 100


def test_a_server_that_is_paused_loses_what_it_was_granted_meanwhile_and_exceeds_nothing():
    register, admitted = Register([0, 0, 0]), []
    servers = three_of(register)
    for _ in range(16):
        servers[0].start([rate(100, 20_000)], admitted.append)
    servers[0].begin()
    servers[0].write()
    answer = servers[0].read()
    register.now += GRANT_MS + 1  # it is paused, and the answer too late
    for _ in range(100):
        servers[1].start([rate(100, 20_000)], admitted.append)
    servers[1].run()
    assert len(admitted) == 84
    servers[0].finish(answer)
    assert len(admitted) == 84
    servers[0].run()
    assert len(admitted) == 100


def test_a_change_that_came_too_late_is_noticed_though_another_server_has_changed_the_ledger_since():
    register, admitted = Register([0, 0, 0]), []
    one, other = three_of(register)[:2]
    for server in (one, other):  # a round of which the ledger was read
        server.start([rate(100, 20_000)], admitted.append)
        server.run()
    for _ in range(10):
        one.start([rate(100, 20_000)], admitted.append)
    one.begin()
    register.now += GRANT_MS + 1
    one.write()
    other.start([rate(100, 20_000)], admitted.append)
    other.run()
    one.finish(one.read())
    one.run()
    assert len(admitted) == 13
    assert sum(n for _, n in register.read([name_of(rate(100, 20_000))]).popitem()[1].log) == 13
