"""One exchange of a server with the ledgers, for all that waits.

A round reads ledgers (`Round.names`), plans which requests start (`Round.plan`), has the ledgers written that change, each
only if nobody changed it meanwhile, and settles by which writes counted (`Round.settle`). A request that lacks something
because a write did not count waits for the next round. One that is refused has changed nothing.

It reads only what it must: a ledger that this server remembers is written as if nobody had changed it since, and one that
it does not know is asked to add what fits (`storage.admission.kinds.account.Basis`). What is refused has been read.

Pure: whoever makes the rounds does the reading and writing.
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
        ledgers: The ledgers that there are, by name, with their versions.
        now: The database's time, in milliseconds.
        clock: Whose clock that is.
        read_at: When the reading began, by this server's clock.
        late: By how many milliseconds more it may have been when nothing was read.
        bases: What the versions were before, of those ledgers that something was only added to.
    """

    ledgers: Mapping[str, tuple[Ledger, str]]
    now: int
    clock: str
    read_at: int
    late: int = 0
    bases: Mapping[str, str] = {}


class Change(NamedTuple):
    """A ledger to be written: if its version is still `before`, or, where that is None, if there is none yet.

    With `room` the entries and this server's member are added to the ledger, whatever its version is: if all that counts in
    it, without this server's member, is at most `room`, and its times are of the same clock, which was not set back.

    Attributes:
        base: What its version was before `before`, if that only added something; empty if that does not matter.
    """

    name: str
    before: str | None
    after: str
    ledger: Ledger
    limit: Limit
    room: int | None = None
    base: str = ""


class Outcome(NamedTuple):
    """What became of the changes.

    Attributes:
        counted: The names of the ledgers whose writes count.
        new: Those of them that there were not before.
        seen: Ledgers that something was to be added to, as they were at about that time, with their versions and bases.
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
            only: Whether there is no other server: then there is no ledger yet that this one does not know, most likely.
        """
        accounts, waiting = permits.next_for_round()
        return cls(permits, accounts, waiting, timed=timed, only=only) if accounts else None

    def plan(self, snapshot: Snapshot) -> list[Change]:
        """Plan which requests start, and say what has to be written for that."""
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
                for account, limit, _ in waiting.needs:  # several may be of one account
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
        """Answer those that waited."""
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
        """End it where nobody knows what was written. Those that waited wait for the next one."""
        for account in self._accounts.values():
            if self._opened:
                account.doubt(self._number)
                account.settle(counts=False)
                account.lose()
                account.versions.must_read = True
            self._permits.again(account)
        self._permits.wait_again([waiting for waiting in self._waiting if not waiting.gone])
