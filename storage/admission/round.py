"""One round: a server reads and writes ledgers, for everything that waits.

A round has four steps. It reads ledgers (`Round.names`). It plans which requests start (`Round.plan`). The changed ledgers
are written, each only if nobody changed it meanwhile. The round then settles, by which writes counted (`Round.settle`). If
a write did not count, the requests that need it wait for the next round. A refused request has changed nothing.

A round reads only what it must. A ledger that this server remembers is written as if nobody had changed it since. To a
ledger that it does not know, the database adds what fits (`storage.admission.kinds.basis.Basis`). Before a refusal, the
ledger is always read.

Pure: the caller reads and writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

from limits.limit import Limit
from storage.admission.kinds.account import Account
from storage.admission.kinds.basis import Basis
from storage.admission.kinds.parameters import Read
from storage.admission.ledger import Ledger
from storage.admission.permits import Permits
from storage.admission.waiting import Waiting


class Snapshot(NamedTuple):
    """Ledgers as they were read.

    Attributes:
        ledgers: The existing ledgers by name, with their versions.
        now: The database's time, in milliseconds.
        clock: The member of the replica set whose clock that is.
        read_at: When the reading began, by this server's clock.
        late: If nothing was read: by how many milliseconds later than `now` it may have been.
        bases: The earlier versions of ledgers whose last write only added something.
    """

    ledgers: Mapping[str, tuple[Ledger, str]]
    now: int
    clock: str
    read_at: int
    late: int = 0
    bases: Mapping[str, str] = {}


class Change(NamedTuple):
    """A ledger to be written.

    The write counts if the ledger still has the version `before`; with None, if there is no ledger yet.

    With `room`, the entries and this server's member are added to the ledger, whatever its version is. This needs two
    things: everything that counts in it, without this server's member, is at most `room`; and its times are of the same
    clock, which was not set back.

    Attributes:
        base: The version before `before`, if that one only added something; empty if it does not matter.
    """

    name: str
    before: str | None
    after: str
    ledger: Ledger
    limit: Limit
    room: int | None = None
    base: str = ""


class Outcome(NamedTuple):
    """The result of the changes.

    Attributes:
        counted: The names of the ledgers whose writes count.
        new: Those of them that are new.
        seen: The ledgers to which something was to be added, as they were at about that time, with versions and bases.
    """

    counted: Collection[str] = ()
    new: Collection[str] = ()
    seen: Mapping[str, tuple[Ledger, str, str]] = {}


class Round:
    """One round of a server.

    Attributes:
        names: The ledgers to be read.
    """

    def __init__(
        self,
        permits: Permits,
        accounts: Mapping[str, Account],
        waiting: Sequence[Waiting],
        *,
        timed: bool,
        only: bool,
    ) -> None:
        requested = {need.account.name for one in waiting for need in one.needs}
        for one in waiting:  # what is refused in any case tells the states of its other limits
            if any(need.limit.maximum < 1 and not need.limit.shadow for need in one.needs):
                for need in one.needs:
                    need.account.versions.must_read = True
        self._basis = {
            name: account.basis(requested=name in requested) if timed else Basis.READ
            for name, account in accounts.items()
        }
        self.names = [name for name, basis in self._basis.items() if basis is Basis.READ]
        self._permits = permits
        self._accounts = accounts
        self._waiting = waiting
        self._changes: dict[str, Change] = {}
        self._only = only
        self._number = 0
        self._opened = False

    @classmethod
    def begin(cls, permits: Permits, *, timed: bool = False, only: bool = False) -> Self | None:
        """Begin a round; None if nothing waits for one.

        Args:
            permits: What waits.
            timed: Whether the database's time is known without reading.
            only: Whether there is no other server. A ledger that this one does not know then most likely does not exist.
        """
        accounts, waiting = permits.next_for_round()
        return cls(permits, accounts, waiting, timed=timed, only=only) if accounts else None

    def plan(self, snapshot: Snapshot) -> list[Change]:
        """Plan which requests start; return the changes that have to be written for that."""
        self._number = number = self._permits.next_number()
        self._opened = True
        permits = self._permits
        read = Read(
            *(snapshot.now, snapshot.clock, snapshot.read_at, permits.is_dead),
            absent=permits.absent(),
            servers=permits.servers(),
            late=snapshot.late,
        )
        for name, account in self._accounts.items():
            account.begin(self._basis[name], *snapshot.ledgers.get(name, (Ledger(), "")), read)
        lowest: dict[str, int] = {}
        for waiting in self._waiting:
            waiting.blocked = [need for need in waiting.needs if not need.account.fits(need.limit, need.amount)]
            doubtful = any(need.account.name in self._unread for need in waiting.blocked)
            if not waiting.refusing and not doubtful and all(need.account.may_start for need in waiting.needs):
                for account, _, amount in waiting.acquiring:
                    account.plan(amount)
                for account, limit, _ in waiting.needs:  # one account may have several needs
                    lowest[account.name] = min(limit.maximum, lowest.get(account.name, limit.maximum))
        after = f"{self._permits.process}.{number}"
        for name, account in self._accounts.items():
            changed = account.close(number)
            if changed is None:
                continue
            if self._basis[name] is Basis.UNSEEN and self._only and account.versions.none_known:
                self._changes[name] = Change(name, None, after, changed, account.limit)
            elif self._basis[name] is Basis.UNSEEN:
                room = account.room(lowest.get(name, account.limit.maximum))
                self._changes[name] = Change(name, None, after, changed, account.limit, room)
            else:
                before, base = account.versions.now or None, account.versions.base
                self._changes[name] = Change(name, before, after, changed, account.limit, base=base)
        return list(self._changes.values())

    @property
    def _unread(self) -> Collection[str]:
        return [name for name, basis in self._basis.items() if basis is not Basis.READ]

    def settle(self, outcome: Outcome) -> None:
        """Decide on the requests that waited."""
        failed = self._changes.keys() - set(outcome.counted)
        for name, account in self._accounts.items():
            account.settle(counts=name not in failed)
            if name in failed:
                account.lose()
            elif name in self._changes:
                seen = None if name in outcome.new else outcome.seen.get(name)
                account.keep(self._changes[name].after, seen, new=name in outcome.new)
            else:
                account.leave()
        unread = set(self._unread)
        again = [waiting for waiting in self._waiting if not self._permits.conclude(waiting, failed, unread)]
        needed = {need.account.name for waiting in again for need in waiting.needs}
        for name, account in self._accounts.items():
            if name not in needed:
                account.give_back()
            self._permits.note(account)
            if name in failed:
                self._permits.again(account)
        self._permits.wait_again(again)

    def fail(self) -> None:
        """End the round when it is unknown what was written. Its requests wait for the next round."""
        for account in self._accounts.values():
            if self._opened:
                account.doubt(self._number)
                account.settle(counts=False)
                account.lose()
                account.versions.must_read = True
            self._permits.again(account)
        self._permits.wait_again([waiting for waiting in self._waiting if not waiting.gone])
