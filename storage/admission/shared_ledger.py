"""One process's share of one ledger: who waits for a decision, and how many slots are held.

What has come by the time of an update is decided by it together. So a ledger that is busy costs a process one update
after the other, not one per request; and what is given back is written down with the next of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from storage.admission.ledger import Ask, Counted, Rate, RateLimit, Ruling


@dataclass(frozen=True, slots=True)
class Terms:
    """What is limited in a ledger: `storage.admission.ledger.Ask` says what each means.

    `slots_limit` names the limit of the slots; `rates` are the limits of the rates by their names.
    """

    process: UUID
    lease_ms: int
    slots: int | None = None
    slots_limit: str = ""
    rates: Mapping[str, RateLimit] = field(default_factory=dict)


class Slot:
    """The right of one request to run, counted by all processes. Giving it back twice gives it back once."""

    def __init__(self, ledger: SharedLedger) -> None:
        self._ledger: SharedLedger | None = ledger

    def release(self) -> None:
        """Give the slot back; the others see it free a moment later."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.give_back()


class Verdict(NamedTuple):
    """What one request was told.

    Attributes:
        refused_by: The limit that refuses it. None if it may start, as far as is known: the database may be away.
        slot: What it holds from now on, where slots are limited. Also if nobody knows: the others are told afterwards.
        rates: What is left of each rate. Nothing where none is limited, and if nobody knows.
    """

    refused_by: str | None = None
    slot: Slot | None = None
    rates: tuple[Rate, ...] = ()


class _Waiting(NamedTuple):
    keys: tuple[str, ...]
    verdict: asyncio.Future[Verdict]


class SharedLedger:
    """Turns requests into asks, and rulings into verdicts. Whoever sends the asks is called when there is one to send.

    Args:
        terms: What is limited.
        call: Says that there is an ask to be sent.
    """

    def __init__(self, terms: Terms, call: Callable[[], None]) -> None:
        self.held = 0
        self._terms = terms
        self._call = call
        self._waiting: deque[_Waiting] = deque()
        self._asked = 0
        self._unwritten = False

    @property
    def unsaid(self) -> bool:
        """Whether there is an ask to be sent."""
        return bool(self._waiting) or self._unwritten

    @property
    def idle(self) -> bool:
        """Whether there is nothing to be remembered."""
        return not self.unsaid and not self.held

    async def ask(self, *keys: str) -> Verdict:
        """Ask for one request, which takes a slot and counts for the rates, each of its key: all or nothing."""
        waiting = _Waiting(keys, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._call()
        return await waiting.verdict

    def give_back(self) -> None:
        """Note that one request less holds a slot."""
        self.held -= 1
        self._write_down()

    def renew(self) -> None:
        """Have it written down what is held, so that its lease begins anew."""
        if self.held or self._unwritten:
            self._write_down()

    def _write_down(self) -> None:
        self._unwritten = True
        self._call()

    def next_ask(self, number: int) -> Ask:
        """Ask for everybody at the head of the queue whose keys are the same. To be settled before the next one."""
        keys = self._waiting[0].keys if self._waiting else ()
        self._asked = len(list(takewhile(lambda waiting: waiting.keys == keys, self._waiting)))
        self._unwritten = False
        terms = self._terms
        rates = tuple([Counted(*one) for one in zip(keys, terms.rates.values(), strict=True)]) if self._asked else ()
        return Ask(terms.process, number, self._asked, self.held, terms.slots, terms.lease_ms, rates)

    def settle(self, ruling: Ruling) -> None:
        """Tell those who were asked for."""
        limits = self._terms.rates
        for nth in range(self._asked):
            rates = ruling.left(limits.values(), nth)
            if nth < ruling.granted:
                verdict = self._admitted(rates)
            elif ruling.free <= ruling.granted:
                verdict = Verdict(self._terms.slots_limit, None, rates)
            else:
                # Of those that are used up, the one that takes longest.
                _, refused_by = max(zip((rate.retry_after_ns for rate in rates), limits, strict=True))
                verdict = Verdict(refused_by, None, rates)
            self._tell(verdict)

    def give_up(self) -> None:
        """Tell everybody that nobody knows. Their slots are held all the same, and written down when that can be."""
        self._unwritten = self._terms.slots is not None  # what was asked for may have been written, or not
        while self._waiting:
            self._tell(self._admitted(()))

    def _admitted(self, rates: tuple[Rate, ...]) -> Verdict:
        if self._terms.slots is None:
            return Verdict(rates=rates)
        self.held += 1
        return Verdict(slot=Slot(self), rates=rates)

    def _tell(self, verdict: Verdict) -> None:
        waiting = self._waiting.popleft()
        if not waiting.verdict.done():
            waiting.verdict.set_result(verdict)
        elif verdict.slot is not None:  # who asked has left
            verdict.slot.release()
