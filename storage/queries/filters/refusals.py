"""The search language of the list of refusals. Pure: text in, a MongoDB filter out.

It is read as `storage.queries.filters.search_language` reads searches for interceptions; only the keys differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from intercept.records import Status
from intercept.refusals import Rule
from storage.queries.filters.keys import Conditions, plain_conditions
from storage.queries.filters.kinds import Kind, one_of, read_first_time, read_status, read_switch, read_time, read_uuid
from storage.queries.filters.search_language import RANGE_KINDS, Search, read_values


class RefusalSearch(Struct, frozen=True, kw_only=True):
    """The conditions on refusals; None is no condition.

    `user` is as it was written: `me`, a UUID or a username.
    """

    user: str | None = None
    api_key_id: str | None = None
    provider: str | None = None
    route: str | None = None
    model: str | None = None
    rule: Rule | None = None
    status: int | None = None
    request_id: UUID | None = None
    shadow: bool | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None

    def filter(self, *, initiator_id: UUID | None) -> dict[str, Any]:
        """Return the MongoDB filter, with the id found for `user`.

        Raises:
            ValueError: There is a `user`, and it was not found out who that is.
        """
        if self.user is not None and initiator_id is None:
            raise ValueError(f"nobody was found for the user {self.user}")
        wanted = {
            "initiator_id": initiator_id,
            "api_key_id": self.api_key_id,
            "provider": self.provider,
            "route": self.route,
            "model": self.model,
            "rule": self.rule and self.rule.value,
            "status": self.status,
            "request_ids": self.request_id,
            "shadow": {"$ne": True} if self.shadow is False else self.shadow,  # older rows do not say
        }
        return plain_conditions(wanted, "at", self.started_after, self.started_before)


def parse_refusal_search(q: str, *, now: datetime | None = None) -> RefusalSearch:
    """Read a search. `range` is that of `now`; without it of the time of the clock.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    return RefusalSearch(**read_values(q, _KINDS, now=now))


_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(RefusalSearch.__struct_fields__, str),
    "rule": one_of(Rule),
    "status": read_status,
    "request_id": read_uuid,
    "shadow": read_switch,
    "started_after": read_first_time,
    "started_before": read_time,
    **RANGE_KINDS,
}


REFUSAL_KEYS: Final = tuple(_KINDS)
"""Every key of a search for refusals."""


def conditions_of(search: Search, *, initiator_id: UUID | None) -> dict[str, Any] | None:
    """Return the filter of the refusals that a search for calls means too; None if it has terms that refusals do not have.

    A search for failed calls means refusals as well.
    """
    if search.status not in {None, Status.FAILED} or any(
        (search.provider, search.client, search.session_id, search.request_id)
    ):
        return None
    fields = {"provider": search.provider_name, "model": search.model, "initiator_id": initiator_id}
    made = Conditions(plain_conditions(fields, "at", search.started_after, search.started_before))
    for term in search.terms:
        if term.key not in _FIELDS:
            if term.negated:
                continue
            return None
        made.add_to(_FIELDS[term.key], term)
    return made.filter


_FIELDS: Mapping[str, str] = {
    "user": "initiator_id",
    "provider_name": "provider",
    "model": "model",
    "token": "api_key_id",
    "http": "status",
}
