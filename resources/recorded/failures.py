"""Refusals, which are calls that were refused before they became interceptions; and all errors, grouped by kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

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


class RecordedRefusal(Struct):
    """A refused call, and how many equal ones there were in the same minute."""

    id: UUID
    at: Annotated[Time, doc("The time; of several, the first.")]
    initiator: Annotated[Initiator | None, doc("The user; null if unknown.")]
    api_key_id: Annotated[str | None, doc("The public part of the token, also if the token is no longer valid.")]
    client_ip: Annotated[
        str | None,
        doc(
            "The client's address, of IPv6 its /64 network, where the user is not known; null also where too "
            "many others were refused to name each."
        ),
    ]
    method: Annotated[str | None, doc("The method; null where the request could not be read.")]
    path: Annotated[
        str | None, doc("The beginning of the path, without the query; null where the request could not be read.")
    ]
    provider: Annotated[str | None, doc("The name of the provider; null without one.")]
    route: Annotated[str | None, doc("The route; null if no route has this path.")]
    model: Annotated[str | None, doc("The model, if the body was read.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    rule: Annotated[Rule, doc("Why.")]
    retry_after_ms: Annotated[Count | None, doc("The wait that the client was told; null if it was told none.")]
    message: Annotated[str | None, doc("What the client was told; null where nobody is named.")]
    request_ids: Annotated[
        list[UUID], doc("The ids of the first requests, at most 20, as their clients were told them; none without one.")
    ]
    more: Annotated[Count, doc("The number of further equal refusals without a row of their own.")]
    policy: Annotated[str | UnsetType, doc("The policy with the rule, as in `group research`; absent without one.")] = (
        UNSET
    )
    shadow: Annotated[
        Literal[True] | UnsetType,
        doc("The rule only counts what it would refuse: the call was not refused. Else absent."),
    ] = UNSET

    @classmethod
    def of(cls, document: Mapping[str, Any], users: Mapping[UUID, User]) -> Self:
        """Show a row. `users` has those that are known."""
        initiator_id = document["initiator_id"]
        user = None if initiator_id is None else Initiator.of(initiator_id, users)
        asked = sorted(document.get("request_ids", ()))
        only = {"request_ids": asked, "policy": document.get("policy", UNSET), "shadow": document.get("shadow", UNSET)}
        return of_fields(cls, document, id=document["_id"], initiator=user, more=int(document["count"]) - 1, **only)
