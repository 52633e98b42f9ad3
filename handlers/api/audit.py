"""The audit trail: who changed what of users and tokens, who signed in, and who was refused."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final
from uuid import UUID

from msgspec import Meta

from handlers.operations.operation import AUDITORS, Ask, operation
from handlers.operations.query import INVALID, Limit, Ranged
from handlers.problems import ValidationProblem
from resources.accounts.audit import Entry
from resources.bodies import Readers
from resources.fields import WholeList, doc
from storage.accounts.events import Action
from storage.queries.accounts import AuditQuery, audit_page
from storage.queries.paging import UnknownCursorError

KINDS: Final = tuple(dict.fromkeys(action.partition(".")[0] for action in Action))
"""What actions are of: each stands for all of it."""

UNKNOWN_CURSOR = "no entry with this id"


def read_actions(text: str) -> tuple[Action, ...]:
    """Read actions and kinds of them, separated by commas.

    Raises:
        ValueError: With one that there is not.
    """
    actions: list[Action] = []
    for name in filter(None, text.split(",")):
        found = [action for action in Action if name in {action.value, action.partition(".")[0]}]
        if not found:
            raise ValueError(f"has {name!r}; it may have {', '.join((*KINDS, *Action))}")
        actions += found
    return tuple(actions)


class EntryQuery(Ranged, frozen=True):
    """Which entries."""

    readers: ClassVar[Readers] = {"action": read_actions}

    limit: Limit = 100
    after_id: Annotated[UUID | None, doc("Start after this one: the last of the previous page.")] = None
    action: Annotated[
        tuple[Action, ...],
        Meta(
            description=f"What was done: one or several of {', '.join(Action)}, with commas; or all of a kind: "
            f"{', '.join(KINDS)}.",
            examples=["policy,token.created"],
        ),
    ] = ()
    user: Annotated[
        str, Meta(description="Who did it or whom it concerned: a username in any case, or an id.", examples=["ada"])
    ] = ""


@operation("GET", "audit", AUDITORS)
async def list_audit(ask: Ask, query: EntryQuery) -> WholeList[Entry]:
    """List the entries of the audit trail.

    Changes to users and tokens, sign-ins and refused accesses, newest first.
    """
    start, end = query.within(ask.bridge.now())
    wanted = AuditQuery(start=start, end=end, actions=query.action, user=query.user)
    try:
        entries = await audit_page(ask.bridge.database, wanted, limit=query.limit, after_id=query.after_id)
    except UnknownCursorError as error:
        raise ValidationProblem(INVALID, validations=[("after_id", UNKNOWN_CURSOR)]) from error
    return WholeList([Entry.of(entry) for entry in entries])
