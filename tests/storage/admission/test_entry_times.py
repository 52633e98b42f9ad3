"""Of the requests that came within a window no more than the limit start in it: none is entered before it came."""

from __future__ import annotations

from storage.admission.database_clock import DatabaseTime
from tests.cases import for_each
from tests.storage.admission.cluster.model import Register, Server, rate, slots

WINDOW_MS = 1_000


@for_each("took_ms", [0, 1, 90])
def test_what_is_admitted_without_a_look_at_the_time_counts_until_a_window_later(took_ms):
    register = Register([0, 0])
    one, other = Server(0, register), Server(1, register)
    time = DatabaseTime(register.time, register.clock, one.now_ns())
    register.now += took_ms  # the primary may have said it at any time until now
    one.clock.note(time)
    sent_at, admitted = register.now, []
    one.start([rate(1, WINDOW_MS)], admitted.append)
    one.run()
    assert len(admitted) == 1
    while len(admitted) == 1:
        register.now += 20 if register.now - sent_at < WINDOW_MS - 100 else 1
        other.start([rate(1, WINDOW_MS)], admitted.append)
        other.run()
    assert WINDOW_MS <= register.now - sent_at <= WINDOW_MS + took_ms + 1


class Forestalled:
    """A server that was granted a permit, and not the slot that its request needs too: another one had changed those."""

    def __init__(self):
        self.register = Register([0, 0])
        self.rate = rate(4, WINDOW_MS)
        self.one, self.other = (Server(number, self.register) for number in range(2))
        for server in (self.one, self.one, self.one, self.other):
            server.start([slots(8)], lambda _: None)
            server.run()
        self.waiting = self.one.start([self.rate, slots(8)], lambda _: None)
        self.one.read()
        self.one.finish()
        assert self.waiting.decision is None
        (self.granted_at,) = self.entries()
        self.register.now += 40

    def entries(self):
        """The times that the ledger of the rate has."""
        ledger, _ = self.register.ledgers[next(name for name in self.register.ledgers if name.startswith("rate:"))]
        return [at for at, count in ledger.entries for _ in range(count)]


def test_a_permit_of_one_that_waits_again_is_not_used_by_one_that_came_later():
    found, started = Forestalled(), []
    found.one.start([found.rate], started.append)
    assert not started
    found.one.run()
    assert found.waiting.decision.ticket is not None
    assert started == [[found.rate]]
    first, second = found.entries()
    assert (first, second >= found.register.now) == (found.granted_at, True)


def test_a_permit_of_one_that_left_while_it_waited_again_is_given_back():
    found = Forestalled()
    found.waiting.gone = True
    later = found.one.start([found.rate], lambda _: None)
    found.one.run()
    assert later.decision.ticket is not None
    (entered_at,) = found.entries()
    assert entered_at >= found.register.now
