"""`/api/v2/aibridge/examples`: an invented company, to try out the dashboard. Owners fill and remove it."""

from __future__ import annotations

from typing import ClassVar

from handlers.api.accounts.changes import ChangeHandler
from resources.examples import ExampleData
from storage.examples.store import ExampleStore

NOT_YOURS_TO_CHANGE = "Only owners may fill in an invented company, or remove it."


class ExamplesHandler(ChangeHandler):
    """The invented company of the database. The servers on it do the work, also when this one stops."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ()

    @property
    def _store(self) -> ExampleStore:
        return ExampleStore(self.bridge.database, now=self.bridge.now)

    async def get(self) -> None:
        """Say whether it is there."""
        await self.identify()
        self.parameters()
        self.write_json(ExampleData.of(await self._store.read()))

    async def post(self) -> None:
        """Request to fill it in: 202."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        self.write_json(ExampleData.of(await self._store.fill(author=self.author)), 202)

    async def delete(self) -> None:
        """Request its removal: 202."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        self.write_json(ExampleData.of(await self._store.remove(author=self.author)), 202)
