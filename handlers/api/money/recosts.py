"""`/api/v2/aibridge/prices/recosts`: jobs that price past calls again. For owners to request, for auditors to see."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler, id_of
from handlers.api.money.prices import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from resources.bodies import read_fields
from resources.fields import WholeList
from resources.money.recosts import Recost, read_range
from storage.prices.recosts import UNKNOWN, Recosts


class _RecostHandler(ChangeHandler):
    @property
    def _recosts(self) -> Recosts:
        return Recosts(self.bridge.database, now=self.bridge.now)


class RecostsHandler(_RecostHandler):
    """The jobs that there are and were."""

    async def get(self) -> None:
        """Respond with the newest."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        self.parameters()
        jobs = await self._recosts.list_newest()
        self.write_json(WholeList([Recost.of(job) for job in jobs]))

    async def post(self) -> None:
        """Request a job: 202. The servers on the database do it, also when this one stops."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        start, end = self.read_with(lambda body: read_range(read_fields(body), self.bridge.now()))
        job = await self._recosts.request(start, end, author=self.author)
        self.set_header("Location", f"{self.request.path}/{job.id}")
        self.write_json(Recost.of(job), 202)


class RecostHandler(_RecostHandler):
    """One job."""

    async def get(self, id_: str) -> None:
        """Say how far it is."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        self.parameters()
        job = await self._recosts.find(id_of(id_, UNKNOWN))
        self.write_json(Recost.of(job))

    async def delete(self, id_: str) -> None:
        """Cancel it. What was priced again stays so, and the job stays listed."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        job = await self._recosts.cancel(id_of(id_, UNKNOWN), author=self.author)
        self.write_json(Recost.of(job))
