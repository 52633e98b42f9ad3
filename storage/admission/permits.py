"""What one server of a cluster may admit. It decides by itself while it can; otherwise requests wait for a round.

A round (`storage.admission.round`) decides everything that waits by the ledgers. Pure: the clock is injected.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from limits.limit import NOTHING, UNLIMITED, Amounts, Kind, Limit, LimitState
from storage.admission.decisions import admission_of, refusal_of
from storage.admission.kinds.account import Account
from storage.admission.kinds.amount_account import AmountAccount
from storage.admission.kinds.parameters import MS, Server, Times, name_of
from storage.admission.kinds.rate_account import RateAccount
from storage.admission.kinds.slot_account import SlotAccount
from storage.admission.presence.shares import Absent, Alone
from storage.admission.waiting import Need, Ticket, Waiting
from storage.mongo.clocks import MonotonicNs

ROUND_LEDGERS = 250
"""The maximum number of ledgers in one round. A single request may need more."""

KEEP_NS = 60_000_000_000
"""How long an unused account is kept, in nanoseconds."""

_KINDS: Mapping[Kind, type[Account]] = {
    Kind.CONCURRENCY: SlotAccount,
    Kind.RATE: RateAccount,
    Kind.TOKENS: AmountAccount,
    Kind.BUDGET: AmountAccount,
}


class Permits:
    """Everything that one server knows of limits, and may use of them.

    Args:
        process: The name of this server. It is never used again.
        is_dead: Whether another server is dead: it does not hold any more what it held.
        servers: The number of servers that share the limits, this one included.

    Attributes:
        next_number: Returns a number that this server has not used yet.
        alone: How this server decides alone; None while it reaches the ledgers.
    """

    def __init__(
        self,
        process: str,
        now_ns: MonotonicNs,
        is_dead: Callable[[str], bool],
        absent: Callable[[], Absent] = dict,
        *,
        servers: Callable[[], int] = lambda: 1,
        times: Times = Times(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.process = process
        self.alone: Alone | None = None
        self.is_dead = is_dead
        self.absent = absent
        self.servers = servers
        self._now_ns = now_ns
        self._accounts: OrderedDict[str, Account] = OrderedDict()  # in the order of their last use
        self._lively: dict[str, Account] = {}
        self._due: dict[str, Account] = {}
        self._queue: deque[Waiting] = deque()
        self._expiring: list[tuple[int, str]] = []
        self._tickets: dict[int, Ticket] = {}
        self.next_number = count(1).__next__
        self._server = Server(process, now_ns, self.next_number, times)

    @property
    def pending(self) -> bool:
        """Whether a round should begin."""
        return bool(self._queue or self._due)

    @property
    def unreported(self) -> bool:
        """Whether the ledgers do not know yet of all admitted requests."""
        return any(account.unreported for account in self._lively.values())

    def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING, *, waits: bool = True) -> Waiting:
        """Decide on a request. If that needs a round and `waits` is set, let it wait; see `limits.limiter.Limiter.start`."""
        waiting = Waiting(self._needs(limits, reserve), reserve)
        if self.alone is not None:
            self._decide_alone(waiting, self.alone)
            return waiting
        lacking = [need.account for need in waiting.needs if not need.account.fits_at_once(need.limit, need.amount)]
        if not lacking:
            self._admit(waiting, at_once=True)
        elif waits:
            for account in lacking:
                account.lacking = True
            for need in waiting.needs:
                need.account.used_at = (
                    self._now_ns()
                )  # the account is kept until the decision, and while it holds something
            self._queue.append(waiting)
        return waiting

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

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Count at least this much of a budget as used in a period; see `limits.limiter.Limiter.restore`."""
        known = self._accounts.get(name_of(limit))
        account = self._need(known.limit if known is not None else limit, NOTHING).account
        account.restore(used, begin_ns // MS)
        self.note(account)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request. A second time, or for an unknown ticket, it does nothing."""
        held = self._tickets.pop(ticket, None)
        if held is None:
            return
        for account, limit, _ in held.needs:
            account.end(_amount(limit, held.reserved) if limit.reserve else 0)
            self.note(account)

    def states(self) -> list[LimitState]:
        """The states of all limits, as far as this server knows."""
        return [
            account.state(account.limit, 0) for account in self._accounts.values() if account.limit.maximum != UNLIMITED
        ]

    def tick(self) -> None:
        """Do the work that is due about once a second."""
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

    def give_back_all(self) -> None:
        """Give back everything that no request uses, because this server leaves."""
        self._due |= {name: account for name, account in self._lively.items() if account.give_back_all()}

    def expire(self) -> int | None:
        """Give back permits whose life is over, if other servers might want them.

        Returns:
            The time by this server's clock when more will be due; None if nothing will.
        """
        now = self._now_ns()
        while self._expiring and self._expiring[0][0] <= now:
            _, name = heappop(self._expiring)
            account = self._accounts.get(name)
            if account is not None and account.tick():
                self._due[name] = account
        return self._expiring[0][0] if self._expiring else None

    def check_all_again(self) -> None:
        """Compare everything that is held with its ledgers. After a pause of this server, others may consider it dead."""
        self._due |= self._lively
        for account in self._lively.values():
            account.versions.must_read = True

    def begin_alone(self, alone: Alone) -> None:
        """Decide alone from now on, also on the requests that wait."""
        if self.alone is None:
            for account in self._accounts.values():
                account.begin_alone()
        self.alone = alone
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.gone:
                self._decide_alone(waiting, alone)

    def end_alone(self) -> None:
        """Use the ledgers again, and report to them what was admitted meanwhile."""
        self.alone = None
        self.report_uncounted()

    def report_uncounted(self) -> None:
        """Let the next round report to the ledgers what was admitted alone."""
        for name, account in self._lively.items():
            account.report_uncounted()
            self._due[name] = account

    # -- for rounds

    def next_for_round(self) -> tuple[dict[str, Account], list[Waiting]]:
        """Remove and return the work of the next round: its accounts by name, and the requests that wait for it."""
        accounts: dict[str, Account] = {}
        waiting: list[Waiting] = []
        while self._queue and len(accounts) < ROUND_LEDGERS:
            one = self._queue.popleft()
            for need in one.needs:
                accounts[need.account.name] = need.account
                if one.gone:  # its grants are not for later requests
                    need.account.give_back()
            if not one.gone:
                waiting.append(one)
        for name in list(self._due):
            if name in accounts or len(accounts) < ROUND_LEDGERS:
                accounts[name] = self._due.pop(name)
        return accounts, waiting

    def wait_again(self, waiting: Iterable[Waiting]) -> None:
        """Let requests wait for the next round, before all others."""
        self._queue.extendleft(reversed(list(waiting)))

    def conclude(self, waiting: Waiting, failed: Collection[str], unread: Collection[str] = ()) -> bool:
        """Decide on a request at the end of a round. Return False if it has to wait for another round.

        Args:
            waiting: The request.
            failed: The ledgers whose writes do not count.
            unread: The ledgers that were not read. They cannot be the reason of a refusal.
        """
        if waiting.gone:
            return True
        if doubted := [need.account for need in waiting.blocked if need.account.name in unread]:
            for account in doubted:
                account.versions.must_read = True
            return False
        if refusing := waiting.refusing:
            if any(need.account.name in failed for need in waiting.blocked):
                return False
            if not all(need.account.state(need.limit, need.amount).retry_after_ns for need in refusing):
                return False  # a request that was to start has left
            waiting.decide(refusal_of(waiting, self.alone))
            return True
        if any(not need.account.fits(need.limit, need.amount) for need in waiting.needs if need not in waiting.blocked):
            return False
        self._admit(waiting)
        return True

    def note(self, account: Account) -> None:
        """Watch an account until it is idle."""
        self._lively[account.name] = account
        if account.expires_at > self._now_ns():
            heappush(self._expiring, (account.expires_at, account.name))
            account.expires_at = 0
        if account.urgent and self.alone is None:
            self._due[account.name] = account

    def again(self, account: Account) -> None:
        """Let an account take part in the next round."""
        self._due[account.name] = account

    # -- decisions

    def _needs(self, limits: Sequence[Limit], reserve: Amounts) -> list[Need]:
        needs = [self._need(limit, reserve) for limit in limits]
        if len({need.account.name for need in needs}) < len(needs):  # several limits have one account
            for need in sorted(needs, key=lambda one: (one.limit.shadow, one.limit.maximum), reverse=True):
                need.account.limit = need.limit
        return needs

    def _need(self, limit: Limit, reserve: Amounts) -> Need:
        name = name_of(limit)
        account = self._accounts.get(name)
        if account is None:
            account = _KINDS[limit.kind](limit, self._server)
            self._accounts[name] = account
        else:
            self._accounts.move_to_end(name)
            account.limit = limit
        return Need(account, limit, _amount(limit, reserve) if limit.reserve else 0)

    def _admit(self, waiting: Waiting, *, at_once: bool = False) -> None:
        acquiring = waiting.acquiring
        for account, _, amount in acquiring:
            if at_once:
                account.acquire_at_once(amount)
            else:
                account.acquire(amount)
            self.note(account)
        self._start(waiting, acquiring)

    def _decide_alone(self, waiting: Waiting, alone: Alone) -> None:
        waiting.blocked = [n for n in waiting.needs if not n.account.fits_alone(n.limit, n.amount, alone)]
        if waiting.refusing:
            waiting.decide(refusal_of(waiting, alone))
            return
        acquiring = waiting.acquiring
        for account, _, amount in acquiring:
            account.acquire_alone(amount)
            self._lively[account.name] = account
        self._start(waiting, acquiring)

    def _start(self, waiting: Waiting, acquiring: Sequence[Need]) -> None:
        ticket = self.next_number()
        self._tickets[ticket] = Ticket(acquiring, waiting.reserve)
        waiting.decide(admission_of(waiting, ticket))


def _amount(limit: Limit, amounts: Amounts) -> int:
    return amounts.tokens if limit.kind is Kind.TOKENS else amounts.micro_dollars
