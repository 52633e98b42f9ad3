"""A database that fails or waits at one of its commands."""

import asyncio
import contextlib

from pymongo.errors import AutoReconnect

from storage.mongo.database import Database


class Interrupted:
    """Fails when one step is done; those that only read many documents are none.

    What fails before it is done leaves behind what the step before it left. With `at_commit` commits alone are steps.
    """

    def __init__(self, database, step, error=None, *, at_commit=False):
        self._database = database
        self.health, self.within = database.health, database.within
        self._error = error or AutoReconnect("connection closed")
        self._left = step
        self.at_commit = at_commit
        for name in Database.__annotations__:
            setattr(self, name, _Collection(getattr(database, name), self))

    @property
    def happened(self):
        return self._left < 0

    @contextlib.asynccontextmanager
    async def transaction(self):
        async with self._database.transaction() as session:
            yield session
        self.step()  # the commit

    async def together(self, change):
        return await Database.together(self, change)

    def step(self):
        self._left -= 1
        if self._left == -1:
            raise self._error

    async def wait(self, command):
        """Is called before each command."""


class Held(Interrupted):
    """Waits before the first command of a kind until `gate` is set, as in a process that is paused."""

    def __init__(self, database, command):
        super().__init__(database, 10**9)
        self._command = command
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def wait(self, command):
        if command == self._command:
            self.reached.set()
            await self.gate.wait()


class _Collection:
    def __init__(self, collection, interrupted):
        self._collection = collection
        self._interrupted = interrupted
        self.name, self.database, self.codec_options = collection.name, collection.database, collection.codec_options

    def with_options(self, **options):
        return _Collection(self._collection.with_options(**options), self._interrupted)

    def __getattr__(self, name):
        method = getattr(self._collection, name)
        if name in {"find", "aggregate"}:
            return method

        async def interrupted(*args, **options):
            await self._interrupted.wait(name)
            response = await method(*args, **options)
            if not self._interrupted.at_commit:
                self._interrupted.step()
            return response

        return interrupted
