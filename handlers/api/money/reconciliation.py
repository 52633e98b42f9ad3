"""`POST /api/v2/aibridge/spend/reconciliation`: where records and a provider's reports agree. For owners and auditors."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from tornado.web import RequestHandler

from handlers.api.accounts.changes import INVALID_BODY, ChangeHandler
from handlers.api.recorded.watched import TOO_MANY_EXPORTS_OF_USER
from handlers.problems import Problem, ValidationProblem
from resources.money.reconciliation import Reconciliation, reconcile
from resources.money.reconciliation_body import ReconciliationBody, ReconciliationRequest
from resources.money.spend import GONE
from settings.reports import report_access
from storage.queries.filters.grouped.spending import NotRecordedError
from storage.queries.money.reconciliation import read_recorded
from upstream.reports.reader import MissingKeyError, read_report
from upstream.reports.reported import ReportError
from upstream.reports.sources import SOURCES

RECONCILE_SECONDS: Final = 50.0
"""How long the reports may take, all pages together."""

NOT_YOURS_TO_SEE = "Only owners and auditors may compare records with the bill."
TOO_SLOW = "The reports of {} took longer than {:.0f} s. Ask for fewer days, or use the command line."
NO_KEY = "reconcile-{}-key is not set. Give the server an admin key of {}, in its environment or a file."


class ReconciliationHandler(ChangeHandler):
    """The comparison, made on request. It changes nothing, but sends requests to providers."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ("POST",)
    get = head = RequestHandler.get  # there is nothing to be read
    _waiting: asyncio.Timeout | None = None

    async def post(self) -> None:
        """Respond with a row for each day and model."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        request = self.read_with(lambda body: ReconciliationBody.request_of(body, self.bridge.now()))
        self.acquire_share("user_exports", self.bridge.shares.exports, TOO_MANY_EXPORTS_OF_USER)
        if self.cycle.ended:
            return
        self.write_json(await self._compare(request))

    async def _compare(self, request: ReconciliationRequest) -> Reconciliation:
        provider, start, end, names = request
        try:
            async with asyncio.timeout(None) as self._waiting:
                recorded = await read_recorded(self.bridge.database, SOURCES[provider].types, names, start, end)
                self._bound(RECONCILE_SECONDS)
                reported = await read_report(
                    self.bridge.upstream, report_access(self.bridge.settings), provider, start, end
                )
        except NotRecordedError as error:
            raise ValidationProblem(INVALID_BODY, validations=[("from", GONE.format(error.since))]) from error
        except MissingKeyError as error:
            raise Problem(409, NO_KEY.format(provider, provider)) from error
        except ReportError as error:
            raise Problem(502, str(error)) from error
        except TimeoutError as error:
            raise Problem(504, TOO_SLOW.format(provider, RECONCILE_SECONDS)) from error
        finally:
            self._waiting = None
        rows = reconcile(recorded, reported, self.bridge.now().date())
        return Reconciliation.of(provider, start.date(), end.date(), rows)

    def on_connection_close(self) -> None:
        """The client left: nothing more is read for it."""
        super().on_connection_close()
        self._bound(0)

    def _bound(self, seconds: float) -> None:
        """Bound the rest of the reading; stop it if the client is gone."""
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time() + (0 if self.cycle.ended else seconds))
