"""What one server of a cluster may admit: decisions by itself while it can, and rounds with the ledgers when it cannot.

A round asks for all that waits: it reads the ledgers (`Round.names`), plans which requests start (`Round.plan`), has the
ledgers written that change, each only if nobody changed it meanwhile, and settles by which writes counted
(`Round.settle`). A request that lacks something because a write did not count waits for the next round. One that is
refused has changed nothing.

Pure: the clock is injected, and whoever makes the rounds does the reading and writing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from limits.limit import NOTHING, Amounts, Decision, Kind, Limit, LimitState
from storage.admission.account import Account, Times, name_of
from storage.admission.amount_account import AmountAccount
from storage.admission.ledger import Ledger
from storage.admission.rate_account import RateAccount
from storage.admission.slot_account import SlotAccount

ROUND_LEDGERS = 250
"""How many ledgers take part in one round, more only if a single request needs more."""

KEEP_NS = 60_000_000_000
"""How long an account is kept that nobody uses."""

_KINDS: Mapping[Kind, type[Account]] = {
    Kind.CONCURRENCY: SlotAccount,
    Kind.RATE: RateAccount,
    Kind.TOKENS: AmountAccount,
    Kind.BUDGET: AmountAccount,
}


class Need(NamedTuple):
    """What a request needs of one account."""

    account: Account
    limit: Limit
    amount: int


class Waiting:
    """A request that waits for a round.

    Attributes:
        decision: What was decided, as soon as it is.
        gone: Set when nobody waits any more.
        done: Called with the decision.
    """

    def __init__(self, needs: Sequence[Need], reserve: Amounts) -> None:
        self.needs = needs
        self.reserve = reserve
        self.decision: Decision | None = None
        self.gone = False
        self.done: Callable[[Decision], None] = lambda _decision: None
        self.blocked: list[Need] = []

    def answer(self, decision: Decision) -> None:
        """Tell the decision."""
        self.decision = decision
        self.done(decision)


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


class _Ticket:
    __slots__ = ("charged", "needs", "reserved")

    def __init__(self, needs: Sequence[Need], reserved: Amounts) -> None:
        self.needs = needs
        self.reserved = reserved
        self.charged = NOTHING


class Permits:
    """All that one server knows and may use of limits.

    Args:
        process: This server; the name is never used again.
        now_ns: A monotonic clock, in nanoseconds, that also counts while the machine sleeps.
        is_dead: Whether another server does not hold any more what it held.
        times: How long things last.

    Attributes:
        alone_among: None while the ledgers can be reached; else the number of servers that share what was left.
    """

    def __init__(
        self, process: str, now_ns: Callable[[], int], is_dead: Callable[[str], bool], times: Times | None = None
    ) -> None:
        self.process = process
        self.alone_among: int | None = None
        self._now_ns = now_ns
        self._is_dead = is_dead
        self._times = times or Times()
        self._accounts: OrderedDict[str, Account] = OrderedDict()  # in the order of their last use
        self._lively: dict[str, Account] = {}
        self._due: dict[str, Account] = {}
        self._queue: deque[Waiting] = deque()
        self._expiring: list[tuple[int, str]] = []
        self._tickets: dict[int, _Ticket] = {}
        self._numbers = count(1).__next__

    @property
    def pending(self) -> bool:
        """Whether a round should begin."""
        return bool(self._queue or self._due)

    @property
    def keys(self) -> int:
        """How many limits are remembered."""
        return len(self._accounts)

    @property
    def requests(self) -> int:
        """How many requests are under way."""
        return len(self._tickets)

    def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING, *, waits: bool = True) -> Waiting:
        """Decide on a request, or have it wait for a round if it does that; see `limits.limiter.Limiter.start`."""
        waiting = Waiting([self._need(limit, reserve) for limit in limits], reserve)
        if self.alone_among is not None:
            self._decide_alone(waiting, self.alone_among)
            return waiting
        lacking = [need.account for need in waiting.needs if not need.account.fits(need.limit, need.amount)]
        if not lacking:
            self._admit(waiting)
        elif waits:
            for account in lacking:
                account.lacking = True
            self._queue.append(waiting)
        return waiting

    def count(self, limits: Sequence[Limit], reserve: Amounts = NOTHING, charged: Amounts = NOTHING) -> int:
        """Count a request that was admitted elsewhere, whatever the limits say; see `limits.limiter.Limiter.count`."""
        needs = {need.account.name: need for need in [self._need(limit, reserve) for limit in limits]}
        for account, _, amount in needs.values():
            account.take_alone(amount)
            if self.alone_among is None:
                account.tell_alone()
            self._note(account)
        ticket = self._numbers()
        self._tickets[ticket] = _Ticket(list(needs.values()), reserve)
        self.charge(ticket, charged)
        return ticket

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used so far; see `limits.limiter.Limiter.charge`."""
        held = self._tickets.get(ticket)
        if held is None:
            return
        before, reserved = held.charged, held.reserved
        held.charged = Amounts(max(amounts.tokens, before.tokens), max(amounts.micro_dollars, before.micro_dollars))
        if reserve is not None:
            held.reserved = reserve
        for account, limit, _ in held.needs:
            if limit.kind is Kind.TOKENS or limit.kind is Kind.BUDGET:
                if more := _amount(limit, held.charged) - _amount(limit, before):
                    account.charge(more)
                if limit.reserve:
                    account.change_reserve(_amount(limit, held.reserved) - _amount(limit, reserved))
                self._lively[account.name] = account

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request. Again, or of one that never was, is harmless."""
        held = self._tickets.pop(ticket, None)
        if held is None:
            return
        for account, limit, _ in held.needs:
            account.end(_amount(limit, held.reserved) if limit.reserve else 0)
            self._note(account)

    def states(self) -> list[LimitState]:
        """The states of all limits, as far as this server knows."""
        return [account.state(account.limit, 0) for account in self._accounts.values()]

    def tick(self) -> None:
        """Do what is due about once a second."""
        for name, account in list(self._lively.items()):
            if account.tick():
                self._due[name] = account
            elif account.idle:
                del self._lively[name]
        kept_since = self._now_ns() - KEEP_NS
        for name in list(self._accounts)[:ROUND_LEDGERS]:
            account = self._accounts[name]
            if account.used_at > kept_since:
                break
            if account.idle and name not in self._due:
                del self._accounts[name]
                self._lively.pop(name, None)
            else:
                self._accounts.move_to_end(name)

    def expire(self) -> int | None:
        """Give back the permits whose life is over, where others might want them.

        Returns:
            When there will be more to give back, by this server's clock; None if there is nothing.
        """
        now = self._now_ns()
        while self._expiring and self._expiring[0][0] <= now:
            _, name = heappop(self._expiring)
            account = self._accounts.get(name)
            if account is not None and account.tick():
                self._due[name] = account
        return self._expiring[0][0] if self._expiring else None

    def look_again(self) -> None:
        """Compare all that is held with its ledgers: after a pause of this server others may have taken it for dead."""
        self._due |= self._lively

    def begin_alone(self, servers: int) -> None:
        """Decide alone from now on, for those that wait too."""
        self.alone_among = servers
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.gone:
                self._decide_alone(waiting, servers)

    def end_alone(self) -> None:
        """Ask the ledgers again, and tell them what was admitted meanwhile."""
        self.alone_among = None
        for name, account in self._lively.items():
            account.tell_alone()
            self._due[name] = account

    def begin_round(self) -> Round | None:
        """Begin a round, if something waits for one."""
        accounts: dict[str, Account] = {}
        waiting: list[Waiting] = []
        while self._queue and len(accounts) < ROUND_LEDGERS:
            one = self._queue.popleft()
            if not one.gone:
                waiting.append(one)
                accounts.update({need.account.name: need.account for need in one.needs})
        for name in list(self._due):
            if name in accounts or len(accounts) < ROUND_LEDGERS:
                accounts[name] = self._due.pop(name)
        return Round(self, accounts, waiting) if accounts else None

    # -- for rounds

    def open(self, account: Account, snapshot: Snapshot) -> None:
        """Begin a round with an account."""
        ledger, _ = snapshot.ledgers.get(account.name, (None, None))
        account.open(ledger or Ledger(), snapshot.now, snapshot.clock, snapshot.read_at, self._is_dead)

    def next_number(self) -> int:
        """A number that this server has not used yet."""
        return self._numbers()

    def wait_again(self, waiting: Iterable[Waiting]) -> None:
        """Have requests wait for the next round, before all others."""
        self._queue.extendleft(reversed(list(waiting)))

    def conclude(self, waiting: Waiting, failed: Collection[str]) -> bool:
        """Answer a request at the end of a round; False if it has to wait for another one."""
        if waiting.gone:
            return True
        refusing = [need for need in waiting.blocked if not need.limit.shadow]
        if refusing:
            if any(need.account.name in failed for need in waiting.blocked):
                return False
            if not all(need.account.state(need.limit, need.amount).retry_after_ns for need in refusing):
                return False  # one that was to start has left
            self._refuse(waiting, refusing)
            return True
        blocked = {need.account.name for need in waiting.blocked}
        if any(not n.account.fits(n.limit, n.amount) for n in waiting.needs if n.account.name not in blocked):
            return False
        self._admit(waiting)
        return True

    def note(self, account: Account) -> None:
        """Look after an account until it is idle."""
        self._note(account)

    def again(self, account: Account) -> None:
        """Have an account take part in the next round."""
        self._due[account.name] = account

    # -- decisions

    def _need(self, limit: Limit, reserve: Amounts) -> Need:
        name = name_of(limit)
        account = self._accounts.get(name)
        if account is None:
            account = _KINDS[limit.kind](limit, self.process, self._now_ns, self._numbers, self._times)
            self._accounts[name] = account
        else:
            self._accounts.move_to_end(name)
            account.limit = limit
        return Need(account, limit, _amount(limit, reserve) if limit.reserve else 0)

    def _admit(self, waiting: Waiting) -> None:
        blocked = {need.account.name for need in waiting.blocked}
        once = {need.account.name: need for need in waiting.needs if need.account.name not in blocked}
        for account, _, amount in once.values():
            account.take(amount)
            self._note(account)
        self._answer(waiting, list(once.values()))

    def _decide_alone(self, waiting: Waiting, servers: int) -> None:
        waiting.blocked = [n for n in waiting.needs if not n.account.fits_alone(n.limit, n.amount, servers)]
        refusing = [need for need in waiting.blocked if not need.limit.shadow]
        if refusing:
            self._refuse(waiting, refusing)
            return
        blocked = {need.account.name for need in waiting.blocked}
        once = {need.account.name: need for need in waiting.needs if need.account.name not in blocked}
        for account, _, amount in once.values():
            account.take_alone(amount)
            self._lively[account.name] = account
        self._answer(waiting, list(once.values()))

    def _answer(self, waiting: Waiting, needs: Sequence[Need]) -> None:
        ticket = self._numbers()
        self._tickets[ticket] = _Ticket(needs, waiting.reserve)
        shadow = [need.account.state(need.limit, need.amount) for need in waiting.blocked]
        states = [need.account.state(need.limit, 0) for need in waiting.needs]
        waiting.answer(Decision(ticket, tuple(states), None, 0, tuple(shadow)))

    def _refuse(self, waiting: Waiting, refusing: Sequence[Need]) -> None:
        states = tuple([need.account.state(need.limit, need.amount) for need in waiting.needs])
        names = {(need.account.name, need.limit.rule) for need in refusing}
        shadow_names = {(n.account.name, n.limit.rule) for n in waiting.blocked if n.limit.shadow}
        told = [
            (state, (need.account.name, need.limit.rule)) for state, need in zip(states, waiting.needs, strict=True)
        ]
        against = [state for state, name in told if name in names]
        refused_by = max(against, key=lambda state: (state.limit.kind is Kind.CONCURRENCY, state.retry_after_ns))
        longest = max(state.retry_after_ns for state in against)
        shadow = tuple([state for state, name in told if name in shadow_names])
        waiting.answer(Decision(None, states, refused_by, longest, shadow))

    def _note(self, account: Account) -> None:
        self._lively[account.name] = account
        if account.expires_at > self._now_ns():
            heappush(self._expiring, (account.expires_at, account.name))
            account.expires_at = 0
        if account.urgent and self.alone_among is None:
            self._due[account.name] = account


class Round:
    """One round of a server; see `Permits`.

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

    def plan(self, snapshot: Snapshot) -> list[Change]:
        """Plan which requests start, and say what has to be written for that."""
        number = self._permits.next_number()
        self._opened = True
        for account in self._accounts.values():
            self._permits.open(account, snapshot)
        for waiting in self._waiting:
            waiting.blocked = [need for need in waiting.needs if not need.account.fits(need.limit, need.amount)]
            if all(need.limit.shadow for need in waiting.blocked):
                blocked = {need.account.name for need in waiting.blocked}
                once = {n.account.name: n for n in waiting.needs if n.account.name not in blocked}
                for account, _, amount in once.values():
                    account.plan(amount)
        after = f"{self._permits.process}.{number}"
        for name, account in self._accounts.items():
            ledger = account.close(number)
            if ledger is not None:
                before = snapshot.ledgers[name][1] if name in snapshot.ledgers else None
                self._changes[name] = Change(name, before, after, ledger, account.limit)
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
                account.put_back()
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


def _amount(limit: Limit, amounts: Amounts) -> int:
    return amounts.tokens if limit.kind is Kind.TOKENS else amounts.micro_dollars
