"""Refusals: calls that the bridge refused before they became interceptions. Made of the documents of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.refusals import Rule
from resources.fields import Count, Initiator, Time, doc, of_fields
from storage.accounts.users import User


class Refusal(Struct):
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
