"""The database of the demo company: whether it is there, filling it, and removing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from storage.accounts.audit import COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.demo.filling import Filling
from storage.derived.job import DerivedJob
from storage.mongo.clocks import Now
from storage.mongo.codec import EPOCH
from storage.mongo.database import Database
from storage.search.writing import add_entries, remove_entries


class DemoState(StrEnum):
    """Whether the demo company is there."""

    NONE = "none"
    FILLING = "filling"
    FILLED = "filled"


class Demo(Struct, frozen=True, kw_only=True):
    """The demo company.

    Attributes:
        fill: Tells one filling from another.
        at: When its last step was made.
        progress: The share of the work that is done, up to 1.
        calls: How many calls are recorded.
        is_cancelled: Whether it was removed while it is being filled in: who fills it in clears it.
    """

    state: DemoState = DemoState.NONE
    fill: str = ""
    at: datetime = EPOCH
    progress: float = 0.0
    calls: int = 0
    is_cancelled: bool = False


SUFFIX: Final = "-demo"
"""What the name of the demo company's database has behind that of the bridge's."""

DAYS: Final = 61
"""How many days there are, the present one included."""

STALE: Final = timedelta(minutes=2)
"""How long after its last step a filling counts as broken off."""

BUSY: Final = "the demo company is being filled in or removed; try again in a moment"
NOT_THERE: Final = "there is no demo company"

_ID: Final = "company"
_STEP_SECONDS: Final = 30.0
"""How long the database may take for a step."""

_TAKE: Final = "take the demo company"
_RECORDED: Final = 0.3
"""The share of the work that recording the calls is; the rest is adding them up."""


class _DemoLostError(Exception):
    """It was removed, or is being filled by somebody else."""


class DemoStore(Changes):
    """The demo company beside a database. Requests to fill and remove it are in the audit trail of that.

    Attributes:
        records: Its own database.
    """

    def __init__(self, database: Database, *, now: Now, days: int = DAYS) -> None:
        super().__init__(database, now=now)
        self.records = database.beside(SUFFIX)
        self._days = days

    async def read(self) -> Demo:
        """Say whether it is there. A filling that was broken off is not."""
        demo = await self._find()
        return Demo() if demo.is_cancelled else demo

    async def _find(self) -> Demo:
        async with self._database.query(what=_TAKE):
            document = await self.records.demo.find_one({"_id": _ID})
        demo = msgspec.convert(document or {}, Demo)
        is_stale = demo.state is DemoState.FILLING and self._now() - demo.at > STALE
        return Demo() if is_stale else demo

    async def begin(self, *, author: Author = COMMAND_LINE) -> Demo:
        """Begin to fill it in anew. Whoever begins goes on with `fill`.

        Raises:
            IdentityConflictError: It is being filled in, or was and is being removed.
            DatabaseRefusalError: MongoDB does not let the bridge write to that database.
        """
        if (await self._find()).state is DemoState.FILLING:
            raise IdentityConflictError(BUSY)
        demo = Demo(state=DemoState.FILLING, fill=uuid4().hex, at=self._now())
        try:
            async with self._database.within(_STEP_SECONDS, _TAKE):
                await self.clear()
                await self.records.demo.insert_one({"_id": _ID, **msgspec.structs.asdict(demo)})
        except DuplicateKeyError as error:
            raise IdentityConflictError(BUSY) from error
        await self._note(author, Action.DEMO_FILLED)
        return demo

    async def fill(self, demo: Demo, on_progress: Callable[[float], None] = lambda _: None) -> bool:
        """Fill it in; return False if it was removed meanwhile.

        Raises:
            DatabaseUnavailableError: Not all was written.
        """
        until, calls = self._now(), 0

        async def advance(progress: float, **fields: Any) -> None:
            # Not beyond what is shown of something that still goes on.
            change = {"at": self._now(), "progress": min(progress, 1.0), "calls": calls, **fields}
            async with self._database.within(_STEP_SECONDS, _TAKE):
                ours = {"_id": _ID, "fill": demo.fill, "is_cancelled": False}
                after = await self.records.demo.find_one_and_update(
                    ours, {"$set": change}, return_document=ReturnDocument.AFTER
                )
            if after is None:
                raise _DemoLostError
            on_progress(change["progress"])

        try:
            await self.records.prepare(retention=None)
            filling = Filling(self.records, until=until, days=self._days)
            await filling.add_people()
            for number in range(1, self._days + 1):
                calls += await filling.add_day(number)
                await advance(_RECORDED * number / self._days)
            await filling.add_policies()
            job = DerivedJob(self.records, add_entries, remove_entries, now=self._now)
            first = until - timedelta(days=self._days)

            async def add_up(at: datetime) -> None:
                await advance(_RECORDED + (1 - _RECORDED) * max((at - first) / (until - first), 0.0))

            await job.catch_up(add_up)
            await advance(1.0, state=DemoState.FILLED)
        except _DemoLostError:
            if (await self._find()).fill == demo.fill:
                await self.clear()
            return False
        return True

    async def remove(self, *, author: Author = COMMAND_LINE) -> None:
        """Remove it, also while it is being filled in.

        Raises:
            UnknownIdentityError: It is not there.
        """
        demo = await self.read()
        if demo.state is DemoState.NONE:
            raise UnknownIdentityError(NOT_THERE)
        async with self._database.within(_STEP_SECONDS, _TAKE):
            if demo.state is DemoState.FILLING:
                await self.records.demo.update_one({"_id": _ID, "fill": demo.fill}, {"$set": {"is_cancelled": True}})
            else:
                await self.clear()
        await self._note(author, Action.DEMO_REMOVED)

    async def clear(self) -> None:
        """Drop its database. The state goes last: who fills it in anew does not begin before all is gone."""
        await self.records.clear(last="demo")

    async def _note(self, author: Author, action: Action) -> None:
        async with self._database.within(_STEP_SECONDS, _TAKE):
            await self._audit(None, author, action)
