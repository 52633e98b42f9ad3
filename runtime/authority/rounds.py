"""Rounds of reports: one worker requests the state of all others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

ANSWER_SECONDS = 0.5
"""How long workers may take to report. The reply goes out without those that are late."""


class Participant(Protocol):
    """A worker as rounds see it."""

    def want_report(self, number: int) -> None:
        """Request its report, in this round."""

    def send_report(self, number: int, said: bytes) -> None:
        """Send it the report of another one, for a request of its own; empty after the last one."""


P = TypeVar("P", bound=Participant)


class _Round(Generic[P]):
    def __init__(self, requester: P, number: int, waiting: set[P]) -> None:
        self.requester = requester
        self.number = number
        self.waiting = waiting
        self.timer: asyncio.TimerHandle | None = None

    def finish(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.requester.send_report(self.number, b"")


class Rounds(Generic[P]):
    """All rounds of a server, on one event loop."""

    def __init__(self) -> None:
        # The round to which a participant still owes a report; 0 is none.
        self._owes: dict[P, int] = {}
        self._rounds: dict[int, _Round[P]] = {}
        self._last = 0

    def join(self, participant: P) -> None:
        """Take part from now on."""
        self._owes[participant] = 0

    @property
    def participants(self) -> Collection[P]:
        """All who take part."""
        return self._owes.keys()

    def leave(self, participant: P) -> None:
        """Take no part any more."""
        owed = self._owes.pop(participant, 0)
        if owed:
            self._strike(participant, owed)
        for number in [number for number, one in self._rounds.items() if one.requester is participant]:
            self._rounds.pop(number).finish()

    def request_reports(self, requester: P, number: int) -> None:
        """Request a report of all others, except those that still owe one to an earlier round."""
        others = {one for one, owed in self._owes.items() if one is not requester and not owed}
        one = _Round(requester, number, others)
        if not others:
            one.finish()
            return
        self._last += 1
        self._rounds[self._last] = one
        one.timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._give_up, self._last)
        for participant in others:
            self._owes[participant] = self._last
            participant.want_report(self._last)

    def reported(self, participant: P, number: int, said: bytes) -> None:
        """Handle a report, in time or not."""
        if not number or self._owes.get(participant) != number:
            return
        self._owes[participant] = 0
        one = self._rounds.get(number)
        if one is not None and said:
            one.requester.send_report(one.number, said)
        self._strike(participant, number)

    def _strike(self, participant: P, number: int) -> None:
        """Stop waiting for this one."""
        one = self._rounds.get(number)
        if one is not None:
            one.waiting.discard(participant)
            if not one.waiting:
                self._rounds.pop(number).finish()

    def _give_up(self, number: int) -> None:
        self._rounds.pop(number).finish()
