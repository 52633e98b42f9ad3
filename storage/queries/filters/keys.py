"""The keys of searches for calls and for refusals: what each reads, and what MongoDB finds by it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bson.decimal128 import Decimal128
from msgspec import Struct

from intercept.ids import in_any_case
from intercept.records import EndReason, Status
from intercept.refusals import Rule
from storage.queries.filters.kinds import (
    Kind,
    StatusClass,
    one_of,
    read_count,
    read_dollars,
    read_fraction,
    read_milliseconds,
    read_status_or_class,
    read_switch,
    read_tag,
    read_uuid,
)


class Key(Struct, frozen=True, kw_only=True):
    """A key that may have several values, and be negated.

    Attributes:
        fields: Of the document; a value may be in any of them.
        kind: What reads a value.
        figure: Of a figure (see `storage.recording.figures`) the type of the number with which MongoDB compares it. Such a key
            has one value each time.
        is_tag: Whether its values are tags, of which a call may have several.
        named: Whether its values name something whose id has to be found first.
    """

    fields: tuple[str, ...] = ()
    kind: Kind = str
    figure: Callable[[Decimal], Any] | None = None
    named: bool = False
    is_tag: bool = False


KEYS: Final[Mapping[str, Key]] = {
    "user": Key(fields=("initiator_id",), named=True),
    "provider": Key(fields=("provider",)),
    "provider_name": Key(fields=("provider_name",)),
    "model": Key(fields=("model",)),
    "client": Key(fields=("client",)),
    "session_id": Key(fields=("client_session_id",)),
    "status": Key(fields=("status",), kind=one_of(Status)),
    "request_id": Key(fields=("request_ids",), kind=in_any_case),
    "token": Key(fields=("api_key_id",), named=True),
    "group": Key(fields=("group_ids",), named=True),
    "agent": Key(fields=("agent.id", "agent.hints.agent_type")),
    "tool": Key(fields=("tool_usages.tool",)),
    "tag": Key(kind=read_tag, is_tag=True),
    "end": Key(fields=("end_reason",), kind=one_of(EndReason)),
    "error": Key(fields=("error.type",)),
    "http": Key(fields=("upstream_status",), kind=read_status_or_class),
    "streaming": Key(fields=("streaming",), kind=read_switch),
    "cost": Key(fields=("cost.usd",), kind=read_dollars, figure=Decimal128),
    "took": Key(fields=("took",), kind=read_milliseconds, figure=float),
    "tokens": Key(fields=("tokens",), kind=read_count, figure=float),
    "cache": Key(fields=("cache_share",), kind=read_fraction, figure=float),
}
"""The keys of a search for calls, aside from those of time."""

REFUSAL_KEYS: Final[Mapping[str, Key]] = {
    "user": Key(fields=("initiator_id",), named=True),
    "api_key_id": Key(fields=("api_key_id",)),
    "provider": Key(fields=("provider",)),
    "route": Key(fields=("route",)),
    "model": Key(fields=("model",)),
    "rule": Key(fields=("rule",), kind=one_of(Rule)),
    "status": Key(fields=("status",), kind=read_status_or_class),
    "request_id": Key(fields=("request_ids",), kind=read_uuid),
    "shadow": Key(fields=("shadow",), kind=lambda text: read_switch(text) or None),  # rows that count say nothing
}
"""The keys of a search for refusals, aside from those of time."""


class Term(Struct, frozen=True):
    """A key with its values, one of which a document has to have, or if it is negated none of them.

    Values are as their kind reads them; those of a key that names something become ids, see `found`.
    """

    key: str
    values: tuple[Any, ...]
    negated: bool = False

    def found(self, ids: Iterable[Any]) -> Term:
        """Return the same with the ids of what its values name."""
        return Term(self.key, tuple(ids), self.negated)


class Conditions:
    """Collects what a document must be, as a MongoDB filter in which no value acts as an operator."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = dict(fields)
        self._more: list[dict[str, Any]] = []

    def add(self, key: Key, term: Term) -> None:
        """Add the condition of a term with this key."""
        if key.is_tag:
            self._add_tags(term)
        elif key.figure:
            for value in term.values:
                compared = {value.operator: key.figure(value.number)}
                self._more.append({key.fields[0]: {"$not": compared} if term.negated else compared})
        elif len(key.fields) == 1:
            self.add_to(key.fields[0], term)
        elif term.negated:
            for field in key.fields:
                self.add_to(field, term)
        else:
            self._more.append({"$or": [{field: {"$in": list(term.values)}} for field in key.fields]})

    def add_to(self, field: str, term: Term) -> None:
        """Add that a field has one of the values of a term, or none of them."""
        self._add_to(field, "$nin" if term.negated else "$in", _numbers(term.values))

    @property
    def filter(self) -> dict[str, Any]:
        """All of it."""
        return {**self.fields, "$and": self._more} if self._more else dict(self.fields)

    def _add_to(self, field: str, operator: str, values: Sequence[Any]) -> None:
        there = self.fields.get(field)
        if there is None:
            is_one = operator == "$in" and len(values) == 1
            self.fields[field] = values[0] if is_one else {operator: list(values)}
            return
        if not isinstance(there, dict):
            there = {"$in": [there]}
        if operator == "$nin":
            values = [*there.get("$nin", ()), *values]
        elif "$in" in there:
            values = [value for value in there["$in"] if value in values]
        self.fields[field] = {**there, operator: list(values)}

    def _add_tags(self, term: Term) -> None:
        by_name: dict[str, list[str]] = {}
        for tag in term.values:
            by_name.setdefault(f"tags.{tag.name}", []).append(tag.value)
        if term.negated or len(by_name) == 1:
            for field, values in by_name.items():
                self._add_to(field, "$nin" if term.negated else "$in", values)
        else:
            self._more.append({"$or": [{field: {"$in": values}} for field, values in by_name.items()]})


def _numbers(values: Sequence[Any]) -> list[Any]:
    """Return values as a filter has them: of a class of statuses each one."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, StatusClass):
            found.extend(range(value.hundreds * 100, value.hundreds * 100 + 100))
        else:
            found.append(value)
    return found
