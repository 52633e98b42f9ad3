"""`GET /api/v2/aibridge/audit`: who changed what of users and tokens."""

from __future__ import annotations

from handlers.api.pagination import INVALID, parse_page, single_values
from handlers.bridge import Bridge
from handlers.control import ControlHandler
from handlers.problems import Problem, ValidationProblem
from resources.accounts.audit import Entry, Trail
from storage.queries.accounts.audit import Audit
from storage.queries.paging import UnknownCursorError

PARAMETERS = ("limit", "after_id")
NOT_YOURS = "Only owners and auditors may see the audit trail."
UNKNOWN_CURSOR = "no entry with this id"


class AuditHandler(ControlHandler):
    """The audit trail, for owners and auditors."""

    def initialize(self, bridge: Bridge) -> None:
        """Receive the running bridge."""
        super().initialize(bridge)
        self._audit = Audit(bridge.database)

    async def respond(self) -> None:
        """Answer `{"results": [..]}`, newest first.

        Raises:
            Problem: 403, the caller is a member.
            ValidationProblem: a parameter cannot be used.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS)
        page = parse_page(single_values(self.request.query_arguments, PARAMETERS))
        try:
            entries = await self._audit.page(limit=page.limit, after_id=page.after_id)
        except UnknownCursorError as error:
            raise ValidationProblem(INVALID, validations=[("after_id", UNKNOWN_CURSOR)]) from error
        self.write_json(Trail([Entry.of(entry) for entry in entries]))
