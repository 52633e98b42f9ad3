"""Checks the sources of alerts regularly, and raises each alert once."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from storage.alerts.documents import AlertType
from storage.alerts.outbox import Outbox
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.errors import DatabaseRefusalError

POLL_SECONDS: Final = 2.0
"""Time between two checks."""

MAX_PENDING: Final = 1_000
"""Alerts that wait for the database; further ones are noticed again as long as they last."""

MAX_RAISED: Final = 10_000
"""Keys of alerts that a process remembers, to save queries."""


_log = logging.getLogger(__name__)


class Alert(NamedTuple):
    """An alert: its type, its key, which is unique in the whole cluster, and its data."""

    type: AlertType
    key: str
    data: Mapping[str, Any]


Source = Callable[[], Awaitable[Iterable[Alert]]]


class Watch:
    """Raises alerts.

    Args:
        database: Its health says when to look.
        outbox: Where alerts are raised.
        sources: Tell what there is now.
        seconds: Time between two checks.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        sources: Sequence[Source],
        *,
        seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._sources = sources
        self._seconds = seconds
        self._pending: dict[str, Alert] = {}
        self._raised: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Check, until cancelled. While the database is unavailable, alerts wait."""
        while True:
            await self.check()
            await asyncio.sleep(self._seconds)

    async def check(self) -> None:
        """Read the sources, and raise new alerts. Those that cannot be raised now are raised later."""
        await self._notice()
        if self._database.health.available:
            await self._raise()

    async def _notice(self) -> None:
        for source in self._sources:
            try:
                found = await source()
            except DatabaseRefusalError as error:
                _log.warning("alerts cannot be checked: %s", error)
                continue
            except DatabaseUnavailableError:
                continue
            for alert in found:
                if alert.key not in self._raised and len(self._pending) < MAX_PENDING:
                    self._pending.setdefault(alert.key, alert)

    async def _raise(self) -> None:
        try:
            for key, alert in list(self._pending.items()):
                await self._outbox.raise_alert(alert.type, key, alert.data)
                del self._pending[key]
                self._raised[key] = None
                if len(self._raised) > MAX_RAISED:
                    self._raised.popitem(last=False)
        except DatabaseRefusalError as error:
            _log.warning("alerts cannot be raised: %s", error)
        except DatabaseUnavailableError:
            return
