"""Rates in a cluster: the permits of a server. Far from the limit it prefetches them; near it they are granted one by one."""

from __future__ import annotations

from collections import deque

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState
from storage.admission.kinds.account import Account
from storage.admission.kinds.basis import Basis
from storage.admission.kinds.parameters import MS, NEVER_READ, PREFETCH, Read, Server, life_of, near, prefetchable
from storage.admission.kinds.permit_block import PermitBlock
from storage.admission.ledger import Ledger
from storage.admission.presence.shares import Alone, left_to

MEASURE_NS = 50 * MS
"""The shortest time over which demand is measured, in nanoseconds."""

PREFETCH_FACTOR = 1.5
"""How many permits are prefetched, as a multiple of the recent use within one life of a permit."""

WORTH = 100
"""Unused permits are given back at once if they are at least the limit divided by this; fewer wait for the next round."""

AT_ONCE = 25
"""A round grants at most the limit divided by this."""

USE_PARTS = 4
"""The uses of prefetched permits are grouped into so many parts of their life."""

PARTS = 20
"""The requests that this server admitted are grouped into so many parts of a window."""


class RateAccount(Account):
    """A rate: see `Account`."""

    def __init__(self, limit: Limit, server: Server) -> None:
        super().__init__(limit, server)
        self._prefetched: deque[PermitBlock] = deque()
        self._for_waiting: deque[PermitBlock] = deque()
        self._granted: list[PermitBlock] = []
        self._doubtful: tuple[int, list[PermitBlock]] = 0, []
        self._wanted = self._late = 0
        self._free = self._max_prefetch = 0
        self._near = True
        self._own: deque[tuple[int, int]] = deque()
        self._alone: deque[tuple[int, int]] = deque()
        self._unreported: deque[tuple[int, int]] = deque()
        self._pace = 0
        self._taken = 0
        self._requested_at = NEVER_READ
        self._low = 0
        self._is_low = False

    def left(self) -> int:
        """The number of permits that can be used now. Permits that are too old are given back."""
        return self._left_of(self._prefetched) + self._left_of(self._for_waiting)

    def _left_of(self, blocks: deque[PermitBlock]) -> int:
        now = self._now_ns()
        while blocks and (blocks[0].expires_at <= now or not blocks[0].left):
            self._give_back(blocks.popleft())
        return sum([block.left for block in blocks]) if blocks else 0

    def fits(self, limit: Limit, _need: int) -> bool:
        """Whether there is a permit, or in a round the ledger has one more."""
        return self._fits(limit, self.left())

    def fits_at_once(self, limit: Limit, _need: int) -> bool:
        """Whether there is a prefetched permit. The other permits were entered before this request came."""
        return self._fits(limit, self._left_of(self._prefetched))

    def _fits(self, limit: Limit, left: int) -> bool:
        above = self.limit.maximum - limit.maximum
        if above > 0 and not self._in_round:  # a permit at hand is not enough: it was granted for a larger limit
            return left > self._planned and self._room(limit) - self._used() + left > self._planned
        return max(left if above <= 0 else 0, left + self._free - above if self._in_round else 0) > self._planned

    def acquire(self, _need: int) -> None:
        """Use the permit that `fits` found, even if its life has ended since."""
        self._use((self._for_waiting or self._prefetched)[0])

    def acquire_at_once(self, _need: int) -> None:
        """Use the permit that `fits_at_once` found, even if its life has ended since."""
        self._use(self._prefetched[0])

    def _use(self, block: PermitBlock) -> None:
        left = sum([block.left for blocks in (self._prefetched, self._for_waiting) for block in blocks])
        self.used_at = self._now_ns()
        block.use(self.used_at, life_of(self.limit) * MS // USE_PARTS)
        self._taken += 1
        self._count_one(self._own)
        if left <= self._low and not self._near:
            self._low = 0
            self._is_low = self.urgent = True  # the next ones are requested before these are used up

    @property
    def may_start(self) -> bool:
        """Whether this round may grant one more. If its response comes too late, the others lack what it granted."""
        return self._planned < self.left() + max(1, self.limit.maximum // AT_ONCE)

    def open(self, ledger: Ledger, read: Read) -> None:
        """Begin a round."""
        self.left()
        if self._basis is Basis.READ:
            self._give_back_doubtful(ledger)
        super().open(ledger, read)
        self._free = self._room(self.limit) - ledger.used
        self._max_prefetch = self.limit.maximum // (PREFETCH * read.servers)
        self._late = read.late

    def close(self, number: int) -> Ledger | None:
        """Enter what is granted: for the waiting requests, and prefetched for later ones."""
        ledger, span, maximum = self._ledger, self._span, self.limit.maximum
        wanted = max(0, self._planned - self.left())
        left = self._free - wanted
        prefetched = prefetchable(left, maximum, self._to_prefetch(wanted)) if wanted or self._is_low else 0
        prefetched = 0 if self._basis is Basis.UNSEEN else prefetched
        self._is_low = False
        self._near = near(left, maximum)
        self._wanted = wanted
        self._granted = []
        if wanted:
            at = span.now + self._late
            ledger.enter(at, wanted, span)
            expires_at = self._read_at + self._times.grant
            self._granted.append(PermitBlock(wanted, at, ledger.clock, expires_at, prefetched=False))
        if prefetched:
            life = life_of(self.limit)
            ledger.enter(span.now + life, prefetched, span)
            expires_at = self._read_at + life * MS
            self._granted.append(PermitBlock(prefetched, span.now + life, ledger.clock, expires_at, prefetched=True))
        self._in_round = False  # until the write counts, only earlier permits can be used
        self._count_again()
        return self.written(number, 0, again=bool(self._granted))

    @property
    def _may_add(self) -> bool:
        requested_lately = self._now_ns() - self._requested_at <= 2 * life_of(self.limit) * MS
        return self._near or not requested_lately or not self._max_prefetch

    def room(self, lowest: int) -> int:
        """The most that others may use."""
        return min(self._room(self.limit), lowest - left_to(self._absent, self.limit.maximum)) - self._wanted

    def _update_near(self) -> None:
        self._near = near(self._room(self.limit) - self._ledger.used, self.limit.maximum)

    def doubt(self, number: int) -> None:
        """Do not use what this write granted."""
        self._doubtful = number, self._granted

    def _give_back_doubtful(self, ledger: Ledger) -> None:
        (number, blocks), self._doubtful = self._doubtful, (0, [])
        member = ledger.members.get(self._process)
        if member is not None and member.write == number:
            for block in blocks:
                self._give_back(block)

    def settle(self, *, counts: bool) -> None:
        """Keep what was granted."""
        granted, self._granted = self._granted, []
        self._planned = 0
        if not counts:
            for block in granted:  # not used, so it does not count here, whatever the ledger says
                self._ledger.remove(block.at, block.left)
            self._count_again()
            return
        self._forget_reports()
        self._low = 0
        for block in granted:
            (self._prefetched if block.prefetched else self._for_waiting).append(block)
            if block.prefetched:
                self._low = block.left // 4
                self.expires_at = block.expires_at if block.left * WORTH >= self.limit.maximum else 0
        self._prefetched = deque(sorted(self._prefetched, key=lambda block: block.expires_at))
        self._for_waiting = deque(sorted(self._for_waiting, key=lambda block: block.expires_at))

    def give_back(self) -> None:
        """Give back the grants for requests that are not admitted after all."""
        if self._left_of(self._for_waiting):
            self._give_back_each(self._for_waiting)
            self.urgent = True

    def state(self, limit: Limit, _need: int) -> LimitState:
        """The usage. Prefetched permits of this server do not count as used."""
        if limit.maximum < 1:
            return LimitState(limit, 0, 0, NEVER_NS, 0)
        left = self.left()
        used = max(0, self._used() - left) + self._count(self._unreported)
        room = self._room(limit)
        remaining = max(0, room - used)
        entries = self._ledger.entries
        wait = 0
        if not remaining:
            wait = self._leaves_in(self._ledger.next_at(self._ledger.used - room + 1)) if room > 0 else SLOT_RETRY_NS
            wait = wait or MS
        return LimitState(limit, used, remaining, wait, self._leaves_in(entries[-1][0]) if entries and used else 0)

    def fits_alone(self, limit: Limit, _need: int, alone: Alone) -> bool:
        """Whether there is a permit, or no window holds more than can be proved.

        The others leave this server its share since a certain time. Before that they may have used everything. So in the
        first window after that time this server continues at its earlier pace.
        """
        if self._left_of(self._prefetched):
            return True
        admitted = self._count(self._alone)
        if admitted >= alone.share_of(limit.maximum):
            return False
        if alone.servers == 1:
            return self._used() + admitted < limit.maximum
        return self._now_ns() - alone.since >= limit.window_ns or self._count(self._own) < self._pace

    def wait_alone(self, limit: Limit, alone: Alone) -> int:
        """The time until the oldest request leaves the window, or until the end of the first window after the others knew."""
        now, window = self._now_ns(), limit.window_ns
        if not alone.share_of(limit.maximum):
            return SLOT_RETRY_NS
        ends = [at + window for at, _ in (*self._alone, *self._own) if at + window > now]
        if (first := alone.since + window) > now:
            ends.append(first)
        return min(ends, default=now + MS) - now

    def begin_alone(self) -> None:
        """Note the pace: how many requests were certainly admitted in the window that ends now."""
        begin = self._now_ns() - self.limit.window_ns + self.limit.window_ns // PARTS
        self._pace = sum([count for at, count in self._own if at > begin])

    def acquire_alone(self, _need: int) -> None:
        """Use a permit, or count a request that is reported to the ledger later."""
        if self._left_of(self._prefetched):
            self.acquire_at_once(_need)
            return
        self.used_at = self._now_ns()
        for requests in (self._own, self._alone, self._unreported):
            self._count_one(requests)

    def _count_one(self, requests: deque[tuple[int, int]]) -> None:
        """Count one more request. The requests of one part of the window count as made together, at its end."""
        now = self.used_at
        if requests and now <= requests[-1][0]:
            requests[-1] = (requests[-1][0], requests[-1][1] + 1)
            return
        requests.append((now + self.limit.window_ns // PARTS, 1))
        while requests[0][0] <= now - self.limit.window_ns:
            requests.popleft()

    def _count(self, requests: deque[tuple[int, int]]) -> int:
        """The number of requests in the window."""
        if not requests:
            return 0
        begin = self._now_ns() - self.limit.window_ns
        return sum([count for at, count in requests if at > begin])

    def report_uncounted(self) -> None:
        """Report to the ledger what was admitted alone, now that it is available again."""
        while self._unreported:
            at, count = self._unreported.popleft()
            self._add_report(count, max(0, self._now_ns() - at) // MS)
            self.urgent = True

    def tick(self) -> bool:
        """Give back what was not used, if other servers might want it."""
        self.left()
        if self.urgent or not self._reports:
            return self.urgent
        given_back = [-report.amount for report in self._reports if report.used_at is None]
        return self._near or any(amount * WORTH >= self.limit.maximum for amount in given_back)

    def give_back_all(self) -> bool:
        """Give back all permits, even if their life is not over."""
        self._give_back_each(self._prefetched)
        self._give_back_each(self._for_waiting)
        return self.urgent or bool(self._reports)

    @property
    def idle(self) -> bool:
        """Whether there are neither permits nor reports."""
        return (
            not self._prefetched
            and not self._for_waiting
            and not self._count(self._unreported)
            and not self._count(self._alone)
            and not self.urgent
        )

    @property
    def unreported(self) -> bool:
        """Whether requests that were admitted alone are not reported to the ledger yet."""
        return bool(self._unreported) or any(report.amount > 0 for report in self._reports)

    def _room(self, limit: Limit) -> int:
        """The limit without the shares of servers that may be deciding alone."""
        return limit.maximum - left_to(self._absent, limit.maximum)

    def _give_back_each(self, blocks: deque[PermitBlock]) -> None:
        while blocks:
            self._give_back(blocks.popleft())

    def _give_back(self, block: PermitBlock) -> None:
        """Report how many permits are left, and when the prefetched ones were used."""
        if block.left:
            self._add_report(-block.left, block.at, block.clock)
        for uses in block.uses:
            self._add_report(-uses.count, block.at, block.clock, used_at=uses.at)

    def _to_prefetch(self, wanted: int) -> int:
        """The number of permits to prefetch, from the use since the last round if that is recent."""
        now, life = self._now_ns(), life_of(self.limit) * MS
        took, self._taken = self._taken + wanted, 0
        since, self._requested_at = now - self._requested_at, now
        if since > 2 * life:
            return min(max(0, wanted - 1), self._max_prefetch)
        return min(int(took * life * PREFETCH_FACTOR / max(since, MEASURE_NS)), self._max_prefetch) - self.left()
