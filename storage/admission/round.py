"""One exchange of a server with the ledgers, for all that waits.

A round reads the ledgers (`Round.names`), plans which requests start (`Round.plan`), has the ledgers written that
change, each only if nobody changed it meanwhile, and settles by which writes counted (`Round.settle`). A request that
lacks something because a write did not count waits for the next round. One that is refused has changed nothing.

Pure: whoever makes the rounds does the reading and writing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

from limits.limit import Limit
from storage.admission.kinds.account import Account, Read
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
    """

    ledgers: Mapping[str, tuple[Ledger, str]]
    now: int
    clock: str
    read_at: int


class Change(NamedTuple):
    """A ledger to be written: if its version is still `before`, or, where that is None, if there is none yet."""

    name: str
    before: str | None
    after: str
    ledger: Ledger
    limit: Limit


class Round:
    """One round of a server.

    Attributes:
        names: The ledgers to be read.
    """

    def __init__(self, permits: Permits, accounts: Mapping[str, Account], waiting: Sequence[Waiting]) -> None:
        self.names = list(accounts)
        self._permits = permits
        self._accounts = accounts
        self._waiting = waiting
        self._changes: dict[str, Change] = {}
        self._opened = False

    @classmethod
    def begin(cls, permits: Permits) -> Self | None:
        """Begin a round; None if nothing waits for one."""
        accounts, waiting = permits.next_for_round()
        return cls(permits, accounts, waiting) if accounts else None

    def plan(self, snapshot: Snapshot) -> list[Change]:
        """Plan which requests start, and say what has to be written for that."""
        number = self._permits.next_number()
        self._opened = True
        permits = self._permits
        read = Read(snapshot.now, snapshot.clock, snapshot.read_at, permits.is_dead, permits.absent())
        for account in self._accounts.values():
            ledger, _ = snapshot.ledgers.get(account.name, (Ledger(), ""))
            account.open(ledger, read)
        for waiting in self._waiting:
            waiting.blocked = [need for need in waiting.needs if not need.account.fits(need.limit, need.amount)]
            if not waiting.refusing:
                for account, _, amount in waiting.taking:
                    account.plan(amount)
        after = f"{self._permits.process}.{number}"
        for name, account in self._accounts.items():
            changed = account.close(number)
            if changed is not None:
                before = snapshot.ledgers[name][1] if name in snapshot.ledgers else None
                self._changes[name] = Change(name, before, after, changed, account.limit)
        return list(self._changes.values())

    def settle(self, counted: Collection[str]) -> None:
        """Answer those that waited.

        Args:
            counted: The names of the ledgers whose writes count.
        """
        failed = self._changes.keys() - set(counted)
        for name, account in self._accounts.items():
            account.settle(counts=name not in failed)
        again = [waiting for waiting in self._waiting if not self._permits.conclude(waiting, failed)]
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
                account.settle(counts=False)
            self._permits.again(account)
        self._permits.wait_again([waiting for waiting in self._waiting if not waiting.gone])
