"""Errors of a time range: failed calls and refusals, grouped by kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from msgspec import Struct, field, structs

from intercept.errors import explain
from intercept.records import EndReason
from intercept.refusals import Rule
from resources.fields import Count, Initiator, Time, doc, of_fields
from storage.accounts.users import User
from storage.queries.found import ErrorGroup

NEW_SPAN = timedelta(hours=24)
"""A kind is new if it first appeared in this last part of the range."""

MAX_USERS = 5
"""Users who are named of a group."""


class ErrorKind(Struct, rename={"is_new": "new"}):
    """Errors of one kind."""

    kind: Annotated[Literal["call", "refusal"], doc("Calls that failed, or that the bridge refused.")]
    provider: Annotated[str | None, doc("The name of the provider; null for a refusal without one.")]
    model: Annotated[str | None, doc("Null for a refusal before the body was read.")]
    status: Annotated[
        int | None, doc("The status of the provider's response or of the refusal; null if there was none.")
    ]
    end_reason: Annotated[EndReason | None, doc("How the calls ended; null for refusals.")]
    type: Annotated[str, doc("The type of the error, in the provider's words; may be empty.")]
    rule: Annotated[Rule | None, doc("Why the bridge refused; null for calls.")]
    template: Annotated[
        str, doc("The message with `*` for quoted parts and ids, and `#` for numbers. Empty for readers.")
    ]
    message: Annotated[str, doc("The message of the example, at most 500 characters. Empty for readers.")]
    explanation: Annotated[str, doc("What it means, in plain words. Empty for refusals, whose message says it.")]
    calls: Count
    users: Annotated[Count, doc("The number of known users who got it.")]
    initiators: Annotated[list[Initiator], doc(f"Some of them, at most {MAX_USERS}.")]
    first_at: Time
    last_at: Time
    example_id: Annotated[UUID, doc("The last of these calls; for refusals, the last row.")]
    is_new: Annotated[bool, doc("Whether it first appeared in the last 24 hours of the range.")]

    @classmethod
    def of(cls, group: ErrorGroup, users: Mapping[UUID, User], until: datetime) -> Self:
        """Show a group, in a range until then."""
        kind = group.kind
        rule = None if kind.rule is None else Rule(kind.rule)
        return of_fields(
            cls,
            kind._asdict() | structs.asdict(group),
            kind="call" if rule is None else "refusal",
            end_reason=EndReason(kind.reason) if rule is None else None,
            rule=rule,
            explanation=explain(kind.reason, kind.status) if rule is None else "",
            users=len(group.users),
            initiators=[Initiator.of(user, users) for user in named(group)],
            is_new=group.first_at > until - NEW_SPAN,
        )


class ErrorList(Struct):
    """What went wrong, the most frequent first."""

    from_: Annotated[Time, doc("The start of the range, inclusive.")] = field(name="from")
    to: Annotated[Time, doc("Its end, exclusive.")]
    count: Annotated[Count, doc("The number of kinds of errors.")]
    calls: Annotated[Count, doc("The number of failed and refused calls, of all kinds.")]
    is_complete: Annotated[
        bool,
        doc(
            "False if there were more than 20,000 different messages; then the rarest are left out. Also if words "
            "were searched for, and more than 5,000 failed calls say them: then only the latest are counted."
        ),
    ]
    results: list[ErrorKind]


def named(group: ErrorGroup) -> list[UUID]:
    """Return the users of a group who are named."""
    return sorted(group.users, key=str)[:MAX_USERS]
