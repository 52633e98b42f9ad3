"""The rounds of a server, one after the other, while something waits for one.

The next round takes everything from one event loop iteration, and everything that came during the last round. A round that
fails is repeated, until the database counts as unavailable and this server may decide alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from storage.admission.database_calls import RETRY_SECONDS, OwnPauseError, Silence, call_database
from storage.admission.ledger_store import LedgerStore
from storage.admission.permits import Permits
from storage.admission.presence.standing import Standing, State
from storage.admission.round import Outcome, Round
from storage.mongo.clocks import MonotonicNs, Pause
from storage.mongo.database import DatabaseUnavailableError


class Rounds:
    """Makes the rounds of one server, on one event loop.

    Args:
        standing: Whether this server uses the ledgers. While it decides alone, it makes no rounds.
        is_only: Whether there is no other server.
        lose: Called with the reason when the database is unavailable. Returns whether this server decides alone now; if
            not, rounds go on.
    """

    def __init__(
        self,
        permits: Permits,
        store: LedgerStore,
        standing: Standing,
        *,
        is_only: Callable[[], bool],
        lose: Callable[[Exception], bool],
        round_seconds: float,
        now_ns: MonotonicNs,
        pause: Pause,
    ) -> None:
        self._permits = permits
        self._store = store
        self._standing = standing
        self._is_only = is_only
        self._lose = lose
        self._round_seconds = round_seconds
        self._now_ns = now_ns
        self._pause = pause
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def work(self) -> None:
        """Do due work: give back permits whose life is over, and begin a round if something waits for one."""
        due = self._permits.expire()
        if due is not None and self._timer is None and not self._closing:
            seconds = max(0.0, (due - self._now_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expired)
        if self._task is None and self._permits.pending and self._standing.state is not State.ALONE:
            self._task = asyncio.create_task(self._make_all())  # noqa: TID251 - requests wait for what it decides

    def close(self) -> None:
        """Start no more work by itself."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()

    async def finish(self) -> None:
        """Make the rounds that something waits for."""
        self.work()
        if self._task is not None:
            await asyncio.wait({self._task})

    def _expired(self) -> None:
        self._timer = None
        self.work()

    async def _make_all(self) -> None:
        silence = Silence()
        try:
            while self._standing.state is not State.ALONE and (round_ := self._next()) is not None:
                try:
                    await self._make(round_)
                except (OwnPauseError, DatabaseUnavailableError) as error:
                    round_.fail()
                    if silence.note(error) and not self._lose(error):
                        await self._pause(RETRY_SECONDS)
                except BaseException:
                    round_.fail()
                    if self._standing.state is State.SHARED:
                        self._permits.begin_alone(self._standing.alone)  # no request keeps waiting
                        self._permits.end_alone()
                    raise
                else:
                    silence = Silence()
        except BaseException as error:
            self._task = None
            if isinstance(error, Exception):  # otherwise the event loop ends, and no more rounds begin
                self.work()
            raise
        self._task = None
        self.work()

    def _next(self) -> Round | None:
        return Round.begin(self._permits, timed=self._store.clock.read() is not None, only=self._is_only())

    async def _make(self, round_: Round) -> None:
        async def exchange() -> None:
            changes = round_.plan(await self._store.snapshot(round_.names))
            planned.append(await self._store.write(changes) if changes else Outcome())

        planned: list[Outcome] = []
        await asyncio.sleep(0)  # all requests of this event loop iteration go into one round
        await call_database(self._round_seconds, exchange())
        round_.settle(planned[0])
