"""A model of a cluster: a database that makes changes as the statements do, and servers with clocks of their own."""

from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, Of
from storage.admission.ledger import (
    GRANT_MS,
    MAX_ENTRIES,
    MAX_SKEW_MS,
    MS,
    Ledger,
    Member,
    name_of,
    span_of,
    window_of,
)
from storage.admission.rounds import Rounds
from storage.members.membership import WRITE_MS, Heartbeat, Members, Waits
from storage.mongo.clocks import DatabaseTime

LEASE_MS = 5_000
RETURN_MS = 2_000
MISSING_MS = 4_000
DEAD_MS = 600_000


def changed(document, change, now, about, clock):
    """A document after a statement was made for a time about that, as MongoDB changes it at `now`; None if it does not."""
    members = document.get("members", {})
    before = Member(**members.get(change.server, {}))
    if change.number <= before.number or abs(now - about) > GRANT_MS:
        return None
    limit, kind = change.limit, change.limit.kind
    span = span_of(limit, about)
    log = [(one["at"], one["n"]) for one in document.get("log", ())]
    if document.get("clock", clock) != clock or (log and log[-1][0] > now + GRANT_MS):
        log = [(min(now, at + MAX_SKEW_MS), n) for at, n in log]
    returned = dict(change.returned)
    begin = now - span.window if span.window else span.begin
    log = [(at, left) for at, n in log if at > begin and (left := n - returned.get(at, 0)) > 0]
    used = sum(n for _, n in log)
    add = max(change.charge, change.at_least - used if change.at_least else 0)
    others = sum(max(share, members.get(name, {}).get("held", 0)) for name, share in change.absent.items())
    aside = {change.server, *change.absent, *change.dead}
    others += sum(one["held"] for name, one in members.items() if name not in aside)
    granted = max(0, min(change.wanted, limit.maximum - used - add - change.held - others))
    more = add + granted * (kind is LimitKind.RATE)
    if kind is LimitKind.BUDGET:
        log = [(now, used + more)] if used + more else []
    elif more and kind is not LimitKind.CONCURRENCY:
        grain = max(1, window_of(limit) // MAX_ENTRIES)
        if log and (log[-1][0] == now or (len(log) >= MAX_ENTRIES and now // grain == log[-1][0] // grain)):
            more += log.pop()[1]
        log.append((now, more))
    held = change.held + granted * (kind is not LimitKind.RATE)
    busy = used + add + change.held + granted + others >= change.least // 2
    own = {change.server: {"number": change.number, "held": held, "granted": granted, "at": now, "busy": busy}}
    return {
        "busy": busy,
        "clock": clock,
        "log": [{"at": at, "n": n} for at, n in log],
        "members": {name: one for name, one in members.items() if name not in change.dead} | own,
    }


class Register:
    """The database: ledgers, heartbeats, and the clocks of its members."""

    def __init__(self, skews):
        self.now = 10_000_000
        self.skews = skews
        self.primary = 0
        self.ledgers = {}
        self.beats = {}
        self.number = 0

    @property
    def clock(self):
        return f"member {self.primary}"

    @property
    def time(self):
        return self.now + self.skews[self.primary]

    def write(self, statements):
        """Make changes; each is with the time and the clock for which it was made."""
        for change, about, clock in statements:
            name = name_of(change.limit)
            before = self.ledgers.get(name, {})
            self.ledgers[name] = changed(before, change, self.time, about, clock) or before

    def is_calm(self, statements, names):
        """Whether all changes were made, and half is used of none of these limits."""
        made = [(change, Member(**self.of(change).get(change.server, {}))) for change, _, _ in statements]
        used = [self.ledgers[name]["busy"] for name in names if self.ledgers.get(name)]
        return not any(used) and all(own.number == change.number and not own.busy for change, own in made)

    def of(self, change):
        return self.ledgers.get(name_of(change.limit), {}).get("members", {})

    def read(self, names):
        return {name: Ledger.of(self.ledgers[name]) for name in names if name in self.ledgers}

    def hear(self):
        return {
            name: beat._replace(age_ms=self.time - at if clock == self.clock else None)
            for name, (beat, at, clock) in self.beats.items()
        }

    def put(self, name, heartbeat, clock, read_at):
        if self.time <= read_at + WRITE_MS:
            self.number += 1
            self.beats[name] = (heartbeat._replace(beat=self.number), self.time, clock)


class Server:
    """One server of the model, by a monotonic clock of its own."""

    def __init__(self, number, register):
        self.name = f"server {number}"
        self.register = register
        self.start_ns = 1_000_000_007 * (number + 1) - register.now * MS
        waits = Waits(lease=LEASE_MS / 1000, missing=MISSING_MS / 1000, dead=DEAD_MS / 1000)
        self.members = Members(self.name, self.now_ns, waits)
        self.rounds = Rounds(self.name, self.now_ns, self.members, lambda: register.now * MS)
        self.time = DatabaseTime(register.time, register.clock, self.now_ns())
        self.cut = False
        self.back_at = None
        self.alone_at = None
        self.flight = self.expected = None
        self.failures = 0
        self.tickets = []

    def now_ns(self):
        return self.start_ns + self.register.now * MS

    @property
    def alone(self):
        return self.rounds.alone is not None

    def start(self, limits, admitted):
        waiting = self.rounds.start(limits)

        def note(decision):
            if decision.ticket is not None:
                self.tickets.append((decision.ticket, limits))
                admitted(limits)
            else:
                assert decision.retry_after_ns > 0
                assert decision.refused_by.remaining == 0

        waiting.done = note
        if waiting.decision is not None:
            note(waiting.decision)
        return waiting

    def end(self):
        if self.tickets:
            self.rounds.end(self.tickets.pop(0)[0])

    def beat(self, fate="ok"):
        """Hear of the others and send a heartbeat; return how one that is late is written."""
        self.rounds.tick()
        if self.cut or fate == "lost":
            self.back_at = None
            self.fail()
            return None
        self.members.update(self.register.hear())
        self.time = DatabaseTime(self.register.time, self.register.clock, self.now_ns())
        said = (self.name, Heartbeat(0, self.members.share, self.alone), self.time.clock, self.time.now)
        if fate == "late":
            self.fail()
            return said
        self.register.put(*said)
        if self.alone:
            self.alone_at = self.register.now
            self.back_at = self.back_at or self.register.now
            if self.register.now - self.back_at >= RETURN_MS:
                self.back_at = None
                self.rounds.end_alone()
        return None

    def fail(self):
        """The database does not answer: decide alone."""
        self.rounds.begin_alone(self.members.share)
        self.alone_at = self.register.now

    def begin(self):
        """Send the changes of the next round; they arrive with `write`."""
        if self.flight is None:
            round_ = self.rounds.begin(self.time.at(self.now_ns()))
            if round_ is not None:
                about = self.time.at(self.now_ns())
                self.flight = (round_.names, [(change, about, self.time.clock) for change in round_.to_send])
                self.expected = round_.expected and (
                    round_.expected,
                    DatabaseTime(about, self.time.clock, self.now_ns()),
                )
                self.is_written = False

    def write(self):
        if self.flight is not None:
            self.register.write(self.flight[1])
            self.is_written = True

    def read(self):
        """What the ledgers say when the answer is sent."""
        if self.flight is None:
            return None
        if self.expected and self.is_written and self.register.is_calm(self.flight[1], self.flight[0]):
            return self.expected
        return self.register.read(self.flight[0]), DatabaseTime(self.register.time, self.register.clock, self.now_ns())

    def finish(self, answer):
        self.flight = None
        if answer is None:
            self.failures += 1
            if self.failures > 1:
                self.fail()
            return
        self.failures = 0
        ledgers, self.time = answer
        self.rounds.settle(ledgers, self.time.now, self.time.read_at)

    def run(self, rounds=50):
        while self.rounds.pending and rounds:
            self.begin()
            self.write()
            self.finish(self.read())
            rounds -= 1
        assert rounds


def rate(maximum, window_ms, key="token:a"):
    return Limit(LimitKind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=window_ms * MS)


def slots(maximum):
    return Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", maximum)
