"""All ledgers that one process has a share in, and the one writer that speaks for all of them.

What has come while a batch was under way goes together in the next one: a decision takes one or two batches, however
many requests wait and however many ledgers they concern.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import islice

from storage.admission.ledger import Ask, Ruling
from storage.admission.shared_ledger import SharedLedger, Terms
from storage.mongo.database import DatabaseUnavailableError

BATCH_LEDGERS = 250
"""How many ledgers are updated at once."""

Decide = Callable[[Mapping[str, Ask]], Awaitable[Mapping[str, Ruling]]]


class SharedLedgers:
    """Ledgers by name, each there as long as there is something to be remembered of it.

    Args:
        decide: Sends asks to the database. Returns the rulings, as far as there are any, or raises
            `DatabaseUnavailableError`.
    """

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._ledgers: dict[str, SharedLedger] = {}
        self._calling: dict[str, None] = {}
        self._writing: asyncio.Task[None] | None = None
        self._number = 0

    def __len__(self) -> int:
        """How many ledgers there is something to be remembered of."""
        return len(self._ledgers)

    def get(self, name: str, terms: Terms) -> SharedLedger:
        """Return a ledger, which always has the same terms."""
        if name not in self._ledgers:
            self._ledgers[name] = SharedLedger(terms, call=partial(self._write, name))
        return self._ledgers[name]

    async def renew(self) -> None:
        """Write down what is held in all of them, or try to."""
        for ledger in self._ledgers.values():
            ledger.renew()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    def _write(self, name: str) -> None:
        self._calling[name] = None
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())  # noqa: TID251 - whoever asks waits for what it decides

    async def _write_all(self) -> None:
        try:
            while self._calling:
                names = list(islice(self._calling, BATCH_LEDGERS))
                for name in names:
                    del self._calling[name]
                await self._write_batch({name: self._ledgers[name] for name in names})
        finally:
            self._writing = None

    async def _write_batch(self, batch: dict[str, SharedLedger]) -> None:
        self._number += 1
        try:
            rulings = await self._decide({name: ledger.next_ask(self._number) for name, ledger in batch.items()})
        except BaseException as error:
            # Nobody is left waiting, whatever happened.
            waiting = {name: self._ledgers[name] for name in self._calling}
            self._calling.clear()
            self._settle(batch | waiting, {})
            if not isinstance(error, DatabaseUnavailableError):
                raise
        else:
            self._settle(batch, rulings)

    def _settle(self, batch: dict[str, SharedLedger], rulings: Mapping[str, Ruling]) -> None:
        for name, ledger in batch.items():
            if name in rulings:
                ledger.settle(rulings[name])
                if ledger.unsaid:
                    self._calling[name] = None
            else:
                ledger.give_up()
            if ledger.idle:
                del self._ledgers[name]
                self._calling.pop(name, None)
