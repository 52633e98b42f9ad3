"""`GET /api/v2/aibridge/audit`: who changed what of users and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handlers.api.choices import refuse, time
from handlers.api.control import ControlHandler
from handlers.api.pagination import INVALID, parse_page
from handlers.problems import Problem, ValidationProblem
from resources.accounts.audit import Entry
from resources.fields import WholeList
from storage.accounts.events import Action
from storage.queries.accounts.audit import AuditQuery, audit_page
from storage.queries.paging import UnknownCursorError

NOT_YOURS = "Only owners and auditors may see the audit trail."
KINDS: Final = tuple(dict.fromkeys(action.partition(".")[0] for action in Action))
"""What actions are of: each stands for all of it."""

UNKNOWN_CURSOR = "no entry with this id"


class AuditHandler(ControlHandler):
    """The audit trail, for owners and auditors."""

    async def respond(self) -> None:
        """Respond with `{"results": [..]}`, newest first."""
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS)
        values = self.parameters("limit", "after_id", "from", "to", "action", "user")
        page = parse_page(values)
        query = read_query(values)
        try:
            entries = await audit_page(self.bridge.database, query, limit=page.limit, after_id=page.after_id)
        except UnknownCursorError as error:
            raise ValidationProblem(INVALID, validations=[("after_id", UNKNOWN_CURSOR)]) from error
        self.write_json(WholeList([Entry.of(entry) for entry in entries]))


def read_query(values: Mapping[str, str]) -> AuditQuery:
    """Read which entries are requested; an empty value counts as not given.

    Raises:
        ValidationProblem: with every parameter that is wrong.
    """
    problems: list[tuple[str, str]] = []
    start, end = time("from", values, problems), time("to", values, problems)
    if start and end and start >= end:
        problems.append(("to", "must be after from"))
    actions: list[Action] = []
    for name in filter(None, values.get("action", "").split(",")):
        found = [action for action in Action if name in {action.value, action.partition(".")[0]}]
        if not found:
            problems.append(("action", f"has {name!r}; it may have {', '.join((*KINDS, *Action))}"))
        actions += found
    refuse(problems)
    return AuditQuery(start=start, end=end, actions=actions, user=values.get("user", ""))
