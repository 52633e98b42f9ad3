"""What one server of a cluster asks of the ledgers, and how it decides by their answers. Pure: no I/O, the clock is injected.

Requests wait for the next round. A round has one change for each limit that they need, or that something was used of. All
changes are made at once, and the ledgers then read: they say what was granted. What was granted to requests that another
limit refuses is given back by the next round. A round without an answer is repeated as it was until there is one.

Of a limit of which less than half is used, all that is wanted is granted. So the ledgers are not read where the changes
themselves say that none is used by more, and each was read within the last second.

All that this server admits is also counted in a limiter of its own. That decides while the ledgers are unavailable, with
the server's share of each limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from time import time_ns

from msgspec import structs

from limits.counters import reported_of
from limits.limit import NEVER_NS, NOTHING, SLOT_RETRY_NS, UNLIMITED, Amounts, Decision, Limit, LimitKind, LimitState
from limits.limiter import Limiter
from storage.admission.ledger import GRANT_MS, MS, Ledger, LedgerChange, Member, Span, Use, name_of, span_of, state_of
from storage.members.membership import Members, Share
from storage.mongo.clocks import MonotonicNs

ROUND_LEDGERS = 500
"""A round has so many ledgers, and those of one more request."""

TRIES = 4
"""A request that other servers forestall waits for so many rounds at most."""

KEEP_NS = 600_000_000_000
"""For how many nanoseconds a limit that nobody uses is remembered."""

READ_NS = 1_000_000_000
"""So many nanoseconds later a ledger is read again, though little of the limit is used."""

RESTORED_NS = 3_000_000_000
"""So many nanoseconds later a restored budget is compared with its ledger: all servers have reported their charges then."""


@dataclass(slots=True)
class _Account:
    """What this server knows of one limit.

    Attributes:
        limit: The limit as it was last requested.
        held: The slots or amounts that its requests hold.
        pending: What was charged, or admitted alone, and the ledger does not know of.
        restored: What was used of a budget at least; when its period began in milliseconds, and when to compare.
        returned: Times and numbers of granted starts that nobody used.
        ledger: What the ledger said last, with what it was expected to grant since.
        read_at: When it was read.
        counted: How much was used, held, and left to others then.
    """

    limit: Limit
    used_at: int
    held: int = 0
    pending: int = 0
    restored: tuple[int, int, int] = (0, 0, 0)
    returned: dict[int, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    read_at: int = 0
    counted: int = 0


@dataclass(frozen=True, slots=True)
class _Need:
    """What a request needs of one limit; an amount of 0 only asks whether something is left."""

    name: str
    limit: Limit
    amount: int


@dataclass(slots=True)
class _ClusterTicket:
    """What an admitted request holds, and its ticket in the limiter of this server."""

    needs: Sequence[_Need]
    local: int
    reserved: Amounts
    charged: Amounts = NOTHING


class Waiting:
    """A request that waits for its decision.

    Attributes:
        decision: The decision; None until there is one.
        gone: Set when the client does not wait any more.
        done: Called with the decision.
    """

    def __init__(self, limits: Sequence[Limit], reserve: Amounts) -> None:
        self.limits = limits
        self.reserve = reserve
        self.needs = [_Need(name_of(limit), limit, _need(limit, reserve)) for limit in limits]
        # Nothing is granted to a request that is refused anyway.
        self.asks = all(limit.maximum > 0 or limit.shadow for limit in limits)
        self.decision: Decision | None = None
        self.gone = False
        self.tries = 0
        self.done: Callable[[Decision], None] = lambda _decision: None

    def decide(self, decision: Decision) -> None:
        """Note the decision, and pass it on."""
        self.decision = decision
        self.done(decision)


@dataclass(slots=True)
class Round:
    """The changes of a round, the ledgers that it reads, and the requests that it decides.

    Attributes:
        expected: What the ledgers say after the changes, if of none of them half is used; None if they have to be read.
    """

    changes: Sequence[LedgerChange]
    names: Sequence[str]
    waiting: Sequence[Waiting]
    expected: Mapping[str, Ledger] | None = None
    is_over: bool = False

    @property
    def to_send(self) -> Sequence[LedgerChange]:
        """The changes to send; none after a time in which this server decided alone, as only their fate is unknown."""
        return () if self.is_over else self.changes


@dataclass(slots=True)
class _Granted:
    """What a ledger has granted in a round: what is left of that, and how much others use of the limit."""

    span: Span
    log: Sequence[tuple[int, int]]
    members: Mapping[str, int]
    used: int
    held: int
    is_known: bool
    at: int = 0
    left: int = 0
    assigned: int = 0


class Rounds:
    """The requests, tickets and limits of one server.

    Args:
        server: The server.
        members: The other servers.

    Attributes:
        alone: The share of each limit that this server has while it decides alone; None while the ledgers decide.
    """

    def __init__(
        self, server: str, now_ns: MonotonicNs, members: Members, wall_ns: Callable[[], int] = time_ns
    ) -> None:
        self.alone: Share | None = None
        self._server = server
        self._now_ns = now_ns
        self._members = members
        self._wall_ns = wall_ns
        self._local = Limiter(now_ns, wall_ns)
        self._accounts: dict[str, _Account] = {}
        self._tickets: dict[int, _ClusterTicket] = {}
        self._queue: deque[Waiting] = deque()
        self._due: dict[str, None] = {}
        self._late: set[str] = set()
        self._unanswered: Round | None = None
        self._absent: Mapping[str, Share] = {}
        self._numbers = count(1)
        self._ticket_numbers = count(1)

    @property
    def pending(self) -> bool:
        """Whether a round should begin."""
        return bool(self._queue or self._due or self._unanswered)

    # -- requests

    def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Waiting:
        """Let a request wait for a round, or decide on it if this server decides alone."""
        waiting = Waiting(limits, reserve)
        if self.alone is None and limits:
            self._queue.append(waiting)
        else:
            self._decide_alone(waiting, self.alone or Share())
        return waiting

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used so far; see `limits.limiter.Limiter.charge`."""
        held = self._tickets.get(ticket)
        if held is None:
            return
        self._local.charge(held.local, amounts, reserve)
        before, reserved = held.charged, held.reserved
        held.charged = Amounts(max(amounts.tokens, before.tokens), max(amounts.micro_dollars, before.micro_dollars))
        held.reserved = reserved if reserve is None else reserve
        for need in held.needs:
            if need.limit.kind in {LimitKind.TOKENS, LimitKind.BUDGET}:
                account = self._account(need.name, need.limit)
                account.pending += _amount(need.limit, held.charged) - _amount(need.limit, before)
                if need.limit.reserve:
                    account.held += _amount(need.limit, held.reserved) - _amount(need.limit, reserved)
                self._late.add(need.name)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request. A second time, or for an unknown ticket, it does nothing."""
        held = self._tickets.pop(ticket, None)
        if held is None:
            return
        self._local.end(held.local)
        for need in held.needs:
            if amount := _held(need.limit, held.reserved):
                self._account(need.name, need.limit).held -= amount
                self._due[need.name] = None

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Count at least this much of a budget as used in a period; see `limits.limiter.Limiter.restore`."""
        self._local.restore(limit, used, begin_ns)
        begin = begin_ns // MS
        if span_of(limit, self._wall_ns() // MS).begin == begin - 1:
            name = name_of(limit)
            self._account(name, limit).restored = (used, begin, self._now_ns() + RESTORED_NS)
            self._late.add(name)

    def states(self) -> list[LimitState]:
        """The states of all limits, as far as this server counts by itself."""
        limits = [one.limit for one in self._accounts.values() if one.limit.maximum != UNLIMITED]
        return list(self._local.states(limits))

    def tick(self) -> None:
        """Report charges, and forget limits that nobody uses. To be called once a second."""
        now = self._now_ns()
        self._due |= dict.fromkeys(self._late)
        self._late = {name for name in self._late if self._accounts[name].restored[2] > now}
        for name in list(islice(self._accounts, ROUND_LEDGERS)):
            account = self._accounts.pop(name)
            is_used = account.used_at > now - KEEP_NS
            if not is_used:
                account.pending = self._charge(account)
            if is_used or name in self._due or account.held or account.pending:
                self._accounts[name] = account

    def report_all(self) -> None:
        """Report all that is held and charged in the next round."""
        self._due |= {name: None for name, one in self._accounts.items() if one.held or one.pending}

    # -- alone

    def begin_alone(self, share: Share) -> None:
        """Decide alone from now on, also on the requests that wait."""
        self.alone = share
        waiting = [*(self._unanswered.waiting if self._unanswered else ()), *self._queue]
        self._queue.clear()
        if self._unanswered:
            self._unanswered.waiting = ()
            self._unanswered.is_over = True
        for one in waiting:
            if not one.gone and one.decision is None:
                self._decide_alone(one, share)

    def end_alone(self) -> None:
        """Use the ledgers again, and report to them what was admitted meanwhile."""
        self.alone = None
        self.report_all()

    def _decide_alone(self, waiting: Waiting, share: Share) -> None:
        limits = [structs.replace(one, maximum=share.of(one.maximum)) for one in waiting.limits]
        decision = self._local.start(limits, waiting.reserve)
        real = {id(small): limit for small, limit in zip(limits, waiting.limits, strict=True)}

        def as_set(state: LimitState) -> LimitState:
            limit = real.get(id(state.limit), state.limit)
            wait = SLOT_RETRY_NS if state.retry_after_ns == NEVER_NS and limit.maximum > 0 else state.retry_after_ns
            return structs.replace(state, limit=limit, retry_after_ns=wait)

        states = tuple([as_set(state) for state in decision.states])
        shadow = tuple([as_set(state) for state in decision.shadow])
        if decision.ticket is None and decision.refused_by is not None:
            refused_by = as_set(decision.refused_by)
            longest = max(state.retry_after_ns for state in states if not state.limit.shadow)
            waiting.decide(Decision(None, states, refused_by, longest, shadow))
            return
        refused = {state.limit for state in shadow}
        needs = _once([need for need in waiting.needs if need.limit not in refused])
        for need in needs:
            account = self._account(need.name, need.limit)
            account.held += _held(need.limit, waiting.reserve)
            account.pending += need.limit.kind is LimitKind.RATE
        number = next(self._ticket_numbers)
        self._tickets[number] = _ClusterTicket(needs, decision.ticket or 0, waiting.reserve)
        waiting.decide(Decision(number, states, None, 0, shadow))

    # -- rounds

    def begin(self, now: int) -> Round | None:
        """The next round, at a time of the database in milliseconds; None if there is nothing to do."""
        if self._unanswered is not None:
            self._unanswered.expected = None  # only the ledgers say whether it was made
            return self._unanswered
        waiting, wanted, limits, names = self._waiting()
        due = [name for name in islice(self._due, ROUND_LEDGERS) if name in names or len(names) < ROUND_LEDGERS]
        for name in due:
            del self._due[name]
        names |= dict.fromkeys(due)
        if not names:
            return None
        changes = []
        self._absent, dead = self._members.absent(), self._members.dead()
        for name in names:
            change = self._change(name, limits.get(name, []), wanted.get(name, 0), now, dead)
            if name in due or change.wanted or change.charge or change.returned or change.at_least:
                changes.append(change)
        expected = None
        if changes and all(one.asks for one in waiting) and all(map(self._is_calm, limits, limits.values())):
            expected = self._expect(names, changes, now)
        self._unanswered = Round(changes, list(names), waiting, expected)
        return self._unanswered

    def settle(self, ledgers: Mapping[str, Ledger], time: int, read_at: int) -> None:
        """Decide by ledgers that were read at a time of the database, when this server's clock was at `read_at`."""
        round_, self._unanswered = self._unanswered, None
        if round_ is None:
            return
        late = (self._now_ns() - read_at) // MS
        self._absent = self._members.absent()
        made = {name_of(change.limit): change for change in round_.changes}
        granted: dict[str, _Granted] = {}
        for name in round_.names:
            change, account, ledger = made.get(name), self._accounts[name], ledgers.get(name, Ledger())
            granted[name] = grant = self._granted(name, change, ledger, time, late)
            use = self._use(account.limit, grant)
            account.ledger, account.counted = ledger, use.used + use.held + use.left + grant.left
            if ledgers is not round_.expected:
                account.read_at = read_at
        again = [one for one in round_.waiting if not one.gone and not self._conclude(one, granted)]
        for name, grant in granted.items():
            self._give_back(name, grant)
        if self.alone is None:
            self._queue.extendleft(reversed(again))
        else:
            for one in again:
                self._decide_alone(one, self.alone)

    def _waiting(self) -> tuple[list[Waiting], dict[str, int], dict[str, list[Limit]], dict[str, None]]:
        """The requests of the next round, how much they want of which limits, and all ledgers that they need."""
        waiting: list[Waiting] = []
        wanted: dict[str, int] = {}
        limits: dict[str, list[Limit]] = {}
        names: dict[str, None] = {}
        while self._queue and len(names) < ROUND_LEDGERS:
            one = self._queue.popleft()
            if one.gone:
                continue
            waiting.append(one)
            names |= {need.name: None for need in one.needs}
            for need in one.needs:
                limits.setdefault(need.name, []).append(need.limit)
                self._account(need.name, need.limit)
            for need in _once(one.needs) if one.asks else ():
                wanted[need.name] = wanted.get(need.name, 0) + need.amount
        return waiting, wanted, limits, names

    def _change(self, name: str, limits: Sequence[Limit], wanted: int, now: int, dead: Collection[str]) -> LedgerChange:
        account = self._accounts[name]
        by_maximum = sorted(limits or [account.limit], key=lambda limit: limit.maximum)
        least, limit = by_maximum[0].maximum, by_maximum[-1]
        charge, account.pending = self._charge(account), 0
        returned, account.returned = tuple(account.returned.items()), {}
        used, begin, due_at = account.restored
        at_least = 0
        if used and due_at <= self._now_ns():
            account.restored = (0, 0, 0)
            at_least = used if span_of(limit, now).begin == begin - 1 else 0
        elif used:
            self._late.add(name)
        absent = {name: share.of(limit.maximum) for name, share in self._absent.items()}
        number = next(self._numbers)
        return LedgerChange(
            self._server, number, limit, least, wanted, account.held, charge, at_least, returned, absent, dead
        )

    def _is_calm(self, name: str, limits: Sequence[Limit]) -> bool:
        """Whether a ledger need not be read to say what is left of these limits; of slots nobody is told."""
        account = self._accounts[name]
        if account.limit.kind is LimitKind.CONCURRENCY:
            return True
        is_read = self._now_ns() - account.read_at < READ_NS
        return is_read and account.counted < min(limit.maximum for limit in limits) // 2

    def _expect(self, names: Collection[str], changes: Sequence[LedgerChange], now: int) -> dict[str, Ledger] | None:
        """What ledgers say after these changes, if they grant all that is wanted; None where that is not known."""
        ledgers = {name: self._accounts[name].ledger for name in names}
        for change in changes:
            if change.returned or change.at_least:
                return None
            name = name_of(change.limit)
            ledgers[name] = ledgers[name].after(change, now)
        return ledgers

    def _charge(self, account: _Account) -> int:
        """What was charged and still counts."""
        if not account.pending:
            return 0
        (state,) = self._local.states([account.limit])
        return min(account.pending, state.used)

    def _granted(self, name: str, change: LedgerChange | None, ledger: Ledger, time: int, late: int) -> _Granted:
        account = self._accounts[name]
        span = span_of(account.limit, time)
        ledger = ledger.counted(span)
        own = ledger.members.get(self._server, Member())
        members = {
            one: member.held
            for one, member in ledger.members.items()
            if one != self._server and not self._members.is_dead(one)
        }
        used = sum(amount for _, amount in ledger.log)
        if account.restored[1] == span.begin + 1:
            used = max(used, account.restored[0])
        granted = _Granted(span, ledger.log, members, used, sum(members.values()) + account.held, is_known=True)
        if change is None:
            return granted
        if own.number != change.number:  # it was too late, or another server made the ledger at the same time
            granted.is_known = False
            account.pending += change.charge
            for at, number in change.returned:
                account.returned[at] = account.returned.get(at, 0) + number
            if change.at_least:
                account.restored = (change.at_least, span.begin + 1, self._now_ns())
            self._due[name] = None
            return granted
        granted.at, granted.left = own.at, own.granted
        if change.limit.kind is LimitKind.RATE:
            granted.used -= own.granted
        granted.is_known = time - own.at + late <= GRANT_MS
        return granted

    def _conclude(self, waiting: Waiting, granted: Mapping[str, _Granted]) -> bool:
        """Decide on a request. Return False if it has to wait for another round."""
        waiting.tries += 1
        if not all(granted[need.name].is_known for need in waiting.needs):
            return False
        uses = [self._use(need.limit, granted[need.name]) for need in waiting.needs]
        blocked = []
        for need, use in zip(waiting.needs, uses, strict=True):
            state = state_of(need.limit, use, need.amount)
            if state.retry_after_ns or (waiting.asks and need.amount > granted[need.name].left):
                blocked.append((need, state))
        refusing = [(need, state) for need, state in blocked if not need.limit.shadow]
        if any(not state.retry_after_ns for _, state in refusing):
            if waiting.asks and waiting.tries < TRIES:
                return False  # what there is no room for has just become free
            wait = SLOT_RETRY_NS
            refusing = [
                (need, structs.replace(state, remaining=0, retry_after_ns=state.retry_after_ns or wait))
                for need, state in refusing
            ]
        names = {need for need, _ in blocked}
        if refusing:
            against = dict(refusing)
            states = tuple(
                [
                    against.get(need) or state_of(need.limit, use, need.amount)
                    for need, use in zip(waiting.needs, uses, strict=True)
                ]
            )
            refused_by = reported_of(list(against.values()))
            longest = max(state.retry_after_ns for state in against.values())
            shadow = tuple([state for need, state in blocked if need.limit.shadow])
            waiting.decide(Decision(None, states, refused_by, longest, shadow))
            return True
        self._admit(waiting, [need for need in waiting.needs if need not in names], granted, blocked)
        return True

    def _admit(
        self,
        waiting: Waiting,
        needs: Sequence[_Need],
        granted: Mapping[str, _Granted],
        blocked: Sequence[tuple[_Need, LimitState]],
    ) -> None:
        needs = _once(needs)
        for need in needs:
            one, account = granted[need.name], self._accounts[need.name]
            one.left -= need.amount
            one.assigned += need.amount
            account.held += _held(need.limit, waiting.reserve)
        local = self._local.start([_counting(need.limit) for need in needs], waiting.reserve)
        number = next(self._ticket_numbers)
        self._tickets[number] = _ClusterTicket(needs, local.ticket or 0, waiting.reserve)
        states = tuple([state_of(need.limit, self._use(need.limit, granted[need.name])) for need in waiting.needs])
        waiting.decide(Decision(number, states, None, 0, tuple([state for _, state in blocked])))

    def _use(self, limit: Limit, granted: _Granted) -> Use:
        left, used, held = 0, granted.used, granted.held
        for name, share in self._absent.items():
            left += max(0, share.of(limit.maximum) - granted.members.get(name, 0))
        if limit.kind is LimitKind.RATE:
            used += granted.assigned
        else:
            held += granted.assigned
        return Use(granted.span, granted.log, used, held, left)

    def _give_back(self, name: str, granted: _Granted) -> None:
        """Note what was granted and not used, for the next round."""
        if granted.left <= 0:
            return
        account = self._accounts[name]
        if account.limit.kind is LimitKind.RATE:
            account.returned[granted.at] = account.returned.get(granted.at, 0) + granted.left
        self._due[name] = None

    def _account(self, name: str, limit: Limit) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(limit, self._now_ns())
        elif limit.maximum != UNLIMITED:
            account.limit = limit
        account.used_at = self._now_ns()
        return account


def _once(needs: Sequence[_Need]) -> list[_Need]:
    """What a request takes: of each limit once, where several have one ledger that which reserves."""
    taken: dict[str, _Need] = {}
    for need in needs:
        if need.name not in taken or need.limit.reserve:
            taken[need.name] = need
    return list(taken.values())


def _need(limit: Limit, reserve: Amounts) -> int:
    if limit.kind in {LimitKind.RATE, LimitKind.CONCURRENCY}:
        return 1
    return _amount(limit, reserve) if limit.reserve else 0


def _held(limit: Limit, reserve: Amounts) -> int:
    """What a request holds of a limit until its end."""
    return 0 if limit.kind is LimitKind.RATE else _need(limit, reserve)


def _amount(limit: Limit, amounts: Amounts) -> int:
    return amounts.tokens if limit.kind is LimitKind.TOKENS else amounts.micro_dollars


def _counting(limit: Limit) -> Limit:
    return structs.replace(limit, maximum=UNLIMITED)
