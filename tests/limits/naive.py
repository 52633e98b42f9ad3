"""What a limiter has to say, worked out from all that ever happened: slow, and simple enough to be right."""

from dataclasses import dataclass, field

from limits.calendar import bounds_of
from limits.limit import NEVER_NS, NOTHING, SLOT_RETRY_NS, Amounts, LimitKind, LimitState


@dataclass
class Request:
    limits: tuple
    reserved: Amounts
    charged: Amounts = NOTHING
    over: bool = False


@dataclass
class Naive:
    """Every start and charge with its time, and every request."""

    starts: list = field(default_factory=list)
    charges: list = field(default_factory=list)
    requests: dict = field(default_factory=dict)
    now: int = 0
    wall: int = 0

    def state(self, limit, need=0):
        used = self.used_at(limit, self.now, self.wall)
        reserved = self.reserved(limit)
        free = limit.maximum - used - reserved
        need = max(1, need)
        return LimitState(limit, used, max(0, free), self.wait(limit, need), self.reset(limit), reserved)

    def used_at(self, limit, now, wall):
        if limit.kind is LimitKind.CONCURRENCY:
            return sum(1 for request in self.under_way() if any(same(limit, one) for one in request.limits))
        if limit.kind is LimitKind.RATE:
            return sum(same(limit, one) and at > now - limit.window_ns for one, at in self.starts)
        if limit.kind is LimitKind.TOKENS:
            return sum(amount for one, amount, at, _ in self.charges if same(limit, one) and at > now - limit.window_ns)
        begin, end = bounds_of(limit.period, limit.zone, wall)
        return sum(amount for one, amount, _, at in self.charges if same(limit, one) and begin <= at < end)

    def reserved(self, limit):
        return sum(
            amount_of(limit, request.reserved)
            for request in self.under_way()
            if any(same(limit, one) and one.reserve for one in request.limits)
        )

    def under_way(self):
        return [request for request in self.requests.values() if not request.over]

    def changes(self, limit):
        """The waits after which less of a limit is used."""
        if limit.kind is LimitKind.BUDGET:
            return [bounds_of(limit.period, limit.zone, self.wall).end_ns - self.wall]
        times = {at for one, at in self.starts if same(limit, one)} | {
            at for one, _, at, _ in self.charges if same(limit, one)
        }
        return sorted(at + limit.window_ns - self.now for at in times if at > self.now - limit.window_ns)

    def wait(self, limit, need):
        def fits(after):
            used = self.used_at(limit, self.now + after, self.wall + after)
            return used + self.reserved(limit) + need <= limit.maximum

        if fits(0):
            return 0
        if need > limit.maximum:
            return NEVER_NS
        if limit.kind is LimitKind.CONCURRENCY:
            return SLOT_RETRY_NS
        return next((after for after in self.changes(limit) if fits(after)), SLOT_RETRY_NS)

    def reset(self, limit):
        if limit.kind is LimitKind.BUDGET:
            return self.changes(limit)[-1]
        if limit.kind is LimitKind.CONCURRENCY or not self.used_at(limit, self.now, self.wall):
            return 0
        return self.changes(limit)[-1]

    def start(self, ticket, limits, reserve):
        """What is to be decided: by which limits it may be refused, after which wait, and which shadow limits would."""
        states = [self.state(limit, amount_of(limit, reserve) if limit.reserve else 0) for limit in limits]
        refusing = [state for state in states if state.retry_after_ns and not state.limit.shadow]
        shadow = tuple(state for state in states if state.retry_after_ns and state.limit.shadow)
        if not refusing:
            skipped = [state.limit for state in shadow]
            self.count(ticket, [limit for limit in limits if limit not in skipped], reserve)
        return refusing, shadow

    def count(self, ticket, limits, reserve):
        once = []
        for limit in limits:
            if limit.kind is LimitKind.RATE and not any(same(limit, one) for one in once):
                self.starts.append((limit, self.now))
            once.append(limit)
        self.requests[ticket] = Request(tuple(limits), reserve)

    def charge(self, ticket, amounts, reserve):
        request = self.requests[ticket]
        if request.over:
            return
        charged = Amounts(
            max(amounts.tokens, request.charged.tokens), max(amounts.micro_dollars, request.charged.micro_dollars)
        )
        once = []
        for limit in request.limits:
            amount = amount_of(limit, charged) - amount_of(limit, request.charged)
            if amount and not any(same(limit, one) for one in once):
                self.charges.append((limit, amount, self.now, self.wall))
            once.append(limit)
        request.charged = charged
        request.reserved = request.reserved if reserve is None else reserve

    def end(self, ticket):
        self.requests[ticket].over = True


def same(one, other):
    """Whether two limits count together."""
    if (one.kind, one.key) != (other.kind, other.key):
        return False
    if one.kind is LimitKind.BUDGET:
        return (one.period, one.zone) == (other.period, other.zone)
    return one.kind is LimitKind.CONCURRENCY or one.window_ns == other.window_ns


def amount_of(limit, amounts):
    return {LimitKind.TOKENS: amounts.tokens, LimitKind.BUDGET: amounts.micro_dollars}.get(limit.kind, 0)
