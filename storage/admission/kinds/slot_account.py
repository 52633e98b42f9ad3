"""Slots in a cluster: a server holds as many in the ledger as it uses. Far from the limit it holds a few more."""

from __future__ import annotations

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState
from storage.admission.kinds.account import Account
from storage.admission.kinds.basis import Basis
from storage.admission.kinds.parameters import NEVER_READ, SMALL, Read, Server, near, prefetchable
from storage.admission.ledger import Ledger
from storage.admission.presence.shares import Alone, left_to


class SlotAccount(Account):
    """A limit of concurrent requests: see `Account`.

    The ledger says how many slots each server holds, not by how much that changes. It never says fewer than are used. A
    server writes a larger number before it uses the slots, and a smaller one after it has stopped using them.
    """

    def __init__(self, limit: Limit, server: Server) -> None:
        super().__init__(limit, server)
        self.in_use = 0
        self._held = 0
        self._peak = 0
        self._kept = 0
        self._target = 0
        self._requested_at = NEVER_READ
        self._free = 0
        self._unknown = False
        self._uncounted = False  # the ledger may have forgotten the slots in use
        self._near = True

    def fits(self, limit: Limit, _need: int) -> bool:
        """Whether there is a slot, or in a round the ledger has one more."""
        needed, above = self.in_use + self._planned, self.limit.maximum - limit.maximum
        if not self._in_round and (above <= 0 or self._held <= needed):
            return self._held > needed
        room = limit.maximum - self._taken_elsewhere(limit)
        return max(self._held if above <= 0 else 0, room) > needed  # held slots may be for a larger limit

    def acquire(self, _need: int) -> None:
        """Use one slot."""
        self.in_use += 1
        self.used_at = self._now_ns()
        self._peak = max(self._peak, self.in_use)
        self._kept = max(self._kept, self._peak)

    def end(self, _reserved: int) -> None:
        """Give a slot back. Near the limit this is written at once."""
        self.in_use -= 1
        self.urgent = self.urgent or self._near

    def open(self, ledger: Ledger, read: Read) -> None:
        """Begin a round."""
        super().open(ledger, read)
        self._free = self.limit.maximum - self._taken_elsewhere(self.limit) - self.in_use

    def close(self, number: int) -> Ledger | None:
        """Write how many slots are held from now on."""
        now = self._now_ns()
        needed = self.in_use + self._planned
        left = self._free - self._planned
        if self.limit.maximum < SMALL:
            wanted = 0
        elif self.lacking:
            recent, self._requested_at = now - self._requested_at < 2 * self._times.fresh, now
            wanted = max(self._kept - needed, needed) if recent else 0
        else:
            wanted = 0 if self._near else min(self._kept, self._held) - needed
        self._near = near(left, self.limit.maximum)
        self.lacking = False
        self._in_round = False  # until the write counts, only earlier slots can be used
        unseen = self._basis is Basis.UNSEEN
        self._target = needed + (0 if unseen else prefetchable(left, self.limit.maximum, wanted))
        self._held = min(self._held, self._target)
        # An earlier write with unknown result may still arrive: it must not find the ledger unchanged.
        return self.written(number, self._target, again=unseen or self._unknown or self._uncounted)

    @property
    def _may_add(self) -> bool:
        return self._near or self._now_ns() - self._requested_at >= 2 * self._times.fresh

    def room(self, lowest: int) -> int:
        """The most that others may hold."""
        return lowest - left_to(self._absent, self.limit.maximum) - self._target

    def _update_near(self) -> None:
        left = self.limit.maximum - self._taken_elsewhere(self.limit) - self._target
        self._near = near(left, self.limit.maximum)

    def settle(self, *, counts: bool) -> None:
        """Hold what was written."""
        self._unknown = not counts
        self._planned = 0
        if counts:
            self._held = self._target
            self._uncounted = False
            self._forget_reports()
        else:
            self.urgent = True

    def give_back(self) -> None:
        """Near the limit hold no more than is used."""
        self.urgent = self.urgent or (self._near and self._held > self.in_use)

    def state(self, limit: Limit, _need: int) -> LimitState:
        """The slots in use: here, and elsewhere by the ledger as it was last read."""
        used = self.in_use + self._ledger.held(but=self._process)
        remaining = max(0, limit.maximum - self.in_use - self._taken_elsewhere(limit))
        if remaining:
            return LimitState(limit, used, remaining, 0, 0)
        return LimitState(limit, used, 0, SLOT_RETRY_NS if limit.maximum > 0 else NEVER_NS, 0)

    def fits_alone(self, limit: Limit, _need: int, alone: Alone) -> bool:
        """Whether there is a slot, or this server's share of the free slots is not used up."""
        left = max(0, limit.maximum - self._ledger.held(but=self._process) - self._held)
        return self.in_use < max(self._held, min(alone.share_of(limit.maximum), self._held + alone.share_of(left)))

    def report_uncounted(self) -> None:
        """Report to the ledger what is held, even if it may have forgotten."""
        self.urgent = self.urgent or bool(self.in_use or self._held or self._unknown)
        self._uncounted = True

    def tick(self) -> bool:
        """Hold no more than the most that was used since the last time."""
        self._kept, self._peak = self._peak, self.in_use
        return self.urgent or self._held > self._kept or self._is_to_renew(self._held)

    def give_back_all(self) -> bool:
        """Hold no more than is used now."""
        self.tick()
        return self.tick()

    @property
    def unreported(self) -> bool:
        """Whether more slots are in use than the ledger knows."""
        return self.in_use > (0 if self._uncounted else self._held)

    @property
    def idle(self) -> bool:
        """Whether no slot is held."""
        return not self.in_use and not self._held and not self._unknown and not self.urgent

    def _taken_elsewhere(self, limit: Limit) -> int:
        """The slots that other servers hold. A server that may be deciding alone counts with at least its share."""
        held = self._ledger.held(but=self._process)
        for name, share in self._absent.items():
            member = self._ledger.members.get(name)
            held += max(0, share.of(limit.maximum) - (member.held if member else 0))
        return held
