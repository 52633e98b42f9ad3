"""A model of a cluster: a database that is a register, and servers with clocks of their own that ask it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import NamedTuple

from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of
from storage.admission.database_clock import DatabaseClock, DatabaseTime
from storage.admission.kinds.parameters import MS, Times, window_of
from storage.admission.ledger import Ledger, Member
from storage.admission.ledger_store import BEAT_MS
from storage.admission.permits import Permits
from storage.admission.presence.members import Heartbeat, Members
from storage.admission.presence.standing import Standing, State
from storage.admission.round import Outcome, Round, Snapshot

ANSWER_MS = 500
LEASE_MS = 5_000
RETURN_MS = 2_000
MISSING_MS = 4_000
DEAD_MS = 600_000
TIMES = Times(grant=ANSWER_MS * MS)


class Register:
    """The database: ledgers with versions, and the clocks of its members."""

    def __init__(self, skews):
        self.now = 10_000_000
        self.skews = skews
        self.primary = 0
        self.ledgers = {}
        self.bases = {}
        self.beats = {}
        self.numbers = count(1)

    @property
    def clock(self):
        return f"member {self.primary}"

    def read(self, names, read_at):
        found = {name: self.stored(name) for name in names if name in self.ledgers}
        return Snapshot(found, self.now + self.skews[self.primary], self.clock, read_at)

    def stored(self, name):
        ledger, version = self.ledgers[name]
        return copied(ledger), version

    @property
    def time(self):
        return self.now + self.skews[self.primary]

    def hear(self):
        """The heartbeats of all servers."""
        return {
            name: beat.heartbeat._replace(age_ms=self.time - beat.at if beat.clock == self.clock else None)
            for name, beat in self.beats.items()
        }

    def put(self, beat):
        """Write a heartbeat, unless it is too late."""
        if self.time <= beat.until:
            self.beats[beat.name] = beat._replace(at=self.time)

    def write(self, changes, process):
        """Make changes as `storage.admission.ledger_documents` has the database make them."""
        counted, new = set(), set()
        for change in changes:
            ledger, version = self.ledgers.get(change.name, (None, None))
            base = self.bases.get(change.name, "")
            if version is None:
                written, base = copied(change.ledger), ""
                new.add(change.name)
            elif change.room is not None:
                written, base = added(ledger, change, process, self.time), version
            elif version == change.before and change.base in {"", base}:
                written, base = copied(change.ledger), ""
            else:
                continue
            if written is not None:
                self.ledgers[change.name], self.bases[change.name] = (written, change.after), base
                counted.add(change.name)
        return Outcome(counted, new)

    def seen(self, changes):
        names = [change.name for change in changes if change.room is not None]
        return {name: (*self.stored(name), self.bases.get(name, "")) for name in names if name in self.ledgers}


def copied(ledger):
    """One of which nothing is shared that can be changed."""
    return Ledger(ledger.clock, list(ledger.entries), {name: replace(one) for name, one in ledger.members.items()})


def added(ledger, change, process, now):
    """A ledger with what is to be added; None if there is no room for it."""
    begin = change.ledger.members[process].at - (window_of(change.limit) or 1)
    used = sum(count for at, count in ledger.entries if at > begin)
    own, before = change.ledger.members[process], ledger.members.get(process, Member())
    if ledger.clock != change.ledger.clock or before.write >= own.write or own.at > now:
        return None
    if used + ledger.held(but=process) > change.room:
        return None
    entries = sorted(ledger.entries + change.ledger.entries)
    member = Member(own.held, max(before.report, own.report), own.write, own.at)
    return Ledger(ledger.clock, entries, copied(ledger).members | {process: member})


class Beat(NamedTuple):
    """A heartbeat on its way, which is written until a certain time."""

    name: str
    heartbeat: Heartbeat
    clock: str
    until: int
    at: int = 0


class Server:
    """One server of the model, by a monotonic clock of its own."""

    def __init__(self, number, register):
        self.name = f"server {number}"
        self.register = register
        self.start_ns = 1_000_000_007 * (number + 1) - register.now * MS
        times = {"lease_ns": LEASE_MS * MS, "missing_ns": MISSING_MS * MS, "dead_ns": DEAD_MS * MS}
        self.members = Members(self.name, self.now_ns, **times)
        hidden_ns = (BEAT_MS + MISSING_MS + ANSWER_MS) * MS
        self.standing = Standing(self.now_ns, lease_ns=RETURN_MS * MS, hidden_ns=hidden_ns)
        self.permits = Permits(
            *(self.name, self.now_ns, self.members.is_dead, self.members.absent),
            servers=lambda: self.members.share.servers,
            times=TIMES,
        )
        self.clock = DatabaseClock(self.now_ns)
        self.cut = False
        self.beat_fate = "ok"
        self.flights = []
        self.outcome = None
        self.tickets = []

    def end_all(self):
        for ticket, _ in self.tickets:
            self.permits.end(ticket)
        self.tickets.clear()

    def now_ns(self):
        return self.start_ns + self.register.now * MS

    def start(self, limits, admitted):
        waiting = self.permits.start(limits)

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

    def beat(self):
        """Hear of the others and send a heartbeat, as `storage.admission.presence.heartbeats` does; return one that is late."""
        fate, self.beat_fate = self.beat_fate, "ok"
        if self.cut or fate == "lost":
            self.fail()
            return None
        self.members.update(self.register.hear(), self.now_ns())
        self.clock.note(DatabaseTime(self.register.time, self.register.clock, self.now_ns()))
        share, alone = self.members.share, self.permits.unreported or self.standing.state is not State.SHARED
        self.standing.read(share)
        heartbeat = Heartbeat(next(self.register.numbers), share, alone)
        beat = Beat(self.name, heartbeat, self.register.clock, self.register.time + BEAT_MS)
        if fate == "late":
            self.fail()
            return beat
        self.register.put(beat)
        if fate == "lost answer":
            self.fail()
            return None
        self.standing.written()
        if self.standing.share_again():
            self.permits.end_alone()
        elif self.standing.state is not State.SHARED:
            self.permits.report_uncounted()
        return None

    def fail(self):
        """The database does not answer: decide alone, if that may be."""
        if self.standing.may_be_alone:
            self.standing.lose()
            self.permits.begin_alone(self.standing.alone)

    def read(self):
        """Begin a round, and plan it by what the database says now."""
        self.plan(self.begin())

    def begin(self):
        return Round.begin(self.permits, timed=self.clock.read() is not None)

    def plan(self, round_):
        if round_ is not None:
            snapshot = self.register.read(round_.names, self.now_ns())
            if not round_.names:
                snapshot = Snapshot({}, *self.clock.read())
            changes = round_.plan(snapshot)
            self.flights.append((round_, changes, self.register.seen(changes), snapshot))

    def write(self):
        """Have the round's writes arrive; the answer is on its way until `finish`."""
        if self.flights and self.outcome is None:
            _, changes, seen, _ = self.flights[0]
            # The ledgers that something is added to are read at the same time: it may be before or after.
            early = next(self.register.numbers) % 2
            outcome = self.register.write(changes, self.name)
            self.outcome = outcome._replace(seen=seen if early else self.register.seen(changes))

    def finish(self, *, written=True, answered=True):
        if self.flights:
            if written:
                self.write()
            round_, changes, _, snapshot = self.flights.pop(0)
            outcome, self.outcome = self.outcome or Outcome(), None
            if answered:
                if round_.names:
                    self.clock.note(DatabaseTime(snapshot.now, snapshot.clock, snapshot.read_at))
                round_.settle(outcome)
            else:
                round_.fail()
            return changes
        return []

    def run(self, rounds=50):
        while self.permits.pending and rounds:
            self.read()
            self.finish()
            rounds -= 1
        assert rounds


def rate(maximum, window_ms, key="token:a"):
    return Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=window_ms * MS)


def slots(maximum):
    return Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", maximum)
