"""Three servers of the model whose rounds overlap in any order, while nothing fails: what they remember is often outdated."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

import pytest

from storage.admission.kinds.account import Account
from storage.admission.kinds.basis import Basis
from tests.storage.admission.cluster.model import ANSWER_MS, Register, Server, rate, slots

WINDOW_MS = 4_000
STEPS = 4_000


class Traffic:
    """Requests for few keys, on all servers; each needs a rate and a slot."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.register = Register([0, 0, 0])
        self.servers = [Server(number, self.register) for number in range(3)]
        self.rates = [rate(maximum, WINDOW_MS, f"token:{maximum}") for maximum in (3, 9, 40)]
        self.slots = slots(12)
        self.admitted = defaultdict(list)
        self.waits = []
        for _ in range(2):
            for server in self.servers:
                server.beat()

    def run(self):
        for _ in range(STEPS):
            server = self.random.choice(self.servers)
            self.step(server)
            assert sum(len(one.tickets) for one in self.servers) <= self.slots.maximum
            if self.random.random() < 0.4:
                self.pass_(self.random.choice([1, 2, 5, 30]))

    def step(self, server):
        what = self.random.random()
        if what < 0.2:
            began = self.register.now
            server.start([self.slots, self.random.choice(self.rates)], lambda limits: self.note(limits, began))
        elif what < 0.35 and server.tickets:
            ticket, _ = server.tickets.pop(self.random.randrange(len(server.tickets)))
            server.permits.end(ticket)
        elif not server.flights:
            server.read()
        elif what < 0.6:
            server.write()
        else:
            server.finish()

    def note(self, limits, began):
        now, limit = self.register.now, limits[1]
        self.admitted[limit.key].append((began, now))
        assert sum(requested > now - WINDOW_MS for requested, _ in self.admitted[limit.key]) <= limit.maximum
        self.waits.append(now - began)

    def pass_(self, ms):
        seconds = (self.register.now + ms) // 1000 - self.register.now // 1000
        self.register.now += ms
        for server in self.servers:
            server.permits.expire()
            if seconds:
                server.permits.tick()
                server.beat()

    def worst(self, limit):
        """The least time in which more than the limit was admitted."""
        times = [at for _, at in self.admitted[limit.key]]
        return min(times[nth + limit.maximum] - times[nth] for nth in range(len(times) - limit.maximum))


@pytest.mark.parametrize("seed", range(2))
def test_what_servers_remember_or_never_saw_exceeds_no_limit(seed, monkeypatch):
    went_by = Counter()
    keep = Account.keep

    def counted(account, version, seen, *, new):
        went_by[account._basis, seen is not None and seen[1] != version] += 1
        keep(account, version, seen, new=new)

    monkeypatch.setattr(Account, "keep", counted)
    traffic = Traffic(seed)
    traffic.run()
    for limit in traffic.rates:
        assert traffic.worst(limit) >= WINDOW_MS - ANSWER_MS
        assert len(traffic.admitted[limit.key]) > limit.maximum
    assert min(went_by[key] for key in ((Basis.REMEMBERED, False), (Basis.UNSEEN, True))) > 10
