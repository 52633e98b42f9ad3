"""Rounds of questions: one worker asks all others what they say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

ANSWER_SECONDS = 0.5
"""How long workers may take to say something of themselves. The question is answered without those that do not."""


class Participant(Protocol):
    """A worker as rounds see it."""

    def want_report(self, number: int) -> None:
        """Ask it what it says of itself, in this round."""

    def send_report(self, number: int, said: bytes) -> None:
        """Tell it what another one said of itself, to a question of its own; nothing, where there are no more."""


P = TypeVar("P", bound=Participant)


class _Round(Generic[P]):
    def __init__(self, asker: P, number: int, waiting: set[P]) -> None:
        self.asker = asker
        self.number = number
        self.waiting = waiting
        self.timer: asyncio.TimerHandle | None = None

    def finish(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.asker.send_report(self.number, b"")


class Rounds(Generic[P]):
    """All rounds of a server, on one event loop."""

    def __init__(self) -> None:
        # What a participant was asked and has yet to answer; 0 is nothing.
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
        """Take part no more."""
        owed = self._owes.pop(participant, 0)
        if owed:
            self._strike(participant, owed)
        for number in [number for number, one in self._rounds.items() if one.asker is participant]:
            self._rounds.pop(number).finish()

    def ask(self, asker: P, number: int) -> None:
        """Ask all others. One that has yet to answer an earlier question is not asked."""
        asked = {one for one, owed in self._owes.items() if one is not asker and not owed}
        one = _Round(asker, number, asked)
        if not asked:
            one.finish()
            return
        self._last += 1
        self._rounds[self._last] = one
        one.timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._give_up, self._last)
        for participant in asked:
            self._owes[participant] = self._last
            participant.want_report(self._last)

    def reported(self, participant: P, number: int, said: bytes) -> None:
        """Take an answer, in time or not."""
        if not number or self._owes.get(participant) != number:
            return
        self._owes[participant] = 0
        one = self._rounds.get(number)
        if one is not None and said:
            one.asker.send_report(one.number, said)
        self._strike(participant, number)

    def _strike(self, participant: P, number: int) -> None:
        """Wait for this one no more."""
        one = self._rounds.get(number)
        if one is not None:
            one.waiting.discard(participant)
            if not one.waiting:
                self._rounds.pop(number).finish()

    def _give_up(self, number: int) -> None:
        self._rounds.pop(number).finish()
