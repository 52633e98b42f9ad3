"""`/api/v2/aibridge/demo-company`: whether the demo company is there. Owners fill it in and remove it.

Owners read it below `/demo-company/`: there is the page, and the resources of the API that are read, each as the company's
own auditor sees them.
"""

from __future__ import annotations

from typing import ClassVar

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.control import IdentifiedHandler
from handlers.problems import Problem, sentence
from resources.demo_company import DemoCompany
from storage.demo.state import Demo
from storage.demo.store import DemoStore
from storage.mongo.errors import DatabaseRefusalError

NOT_YOURS_TO_CHANGE = "Only owners may fill in the demo company, or remove it."
ONLY_READ = "The demo company is only looked at: this cannot be done there."
REFUSED = "{}. The bridge needs the role readWrite on that database too; its name is that of its own with -demo behind."


class DemoCompanyHandler(ChangeHandler):
    """The demo company of the database."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ()

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say also that the bridge may not write to the other database: 409."""
        if isinstance(error, DatabaseRefusalError):
            return Problem(409, REFUSED.format(sentence(str(error)).rstrip(".")))
        return super().problem_of(error)

    @property
    def _store(self) -> DemoStore:
        return self.bridge.demo.store

    async def get(self) -> None:
        """Say whether it is there."""
        await self.identify()
        self.parameters()
        self.write_json(DemoCompany.of(await self._store.read()))

    async def post(self) -> None:
        """Begin to fill it in anew: 202. This process goes on with it."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        demo = await self._store.begin(author=self.author)
        self.bridge.demo.fill(demo)
        self.write_json(DemoCompany.of(demo), 202)

    async def delete(self) -> None:
        """Remove it."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self._store.remove(author=self.author)
        self.write_json(DemoCompany.of(Demo()))


class DemoUnchangedHandler(IdentifiedHandler):
    """What cannot be done below `/demo-company/`."""

    async def prepare(self) -> None:
        """Identify the user, and refuse."""
        await self.identify()
        raise Problem(403, ONLY_READ)
