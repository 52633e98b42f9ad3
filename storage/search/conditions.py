"""The conditions of a search on the calls of a segment, and which of them meet these. Pure.

The calls of a segment that are so are a whole number with a byte for each call, 0 or 1: so they are combined all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from msgspec import Struct

from intercept.records import Status
from storage.queries.filters.keys import KEYS, Term
from storage.queries.filters.kinds import Comparison, StatusClass
from storage.queries.filters.search_language import Search
from storage.recording.figures import FIGURES
from storage.search.entries import value_digest, word_digest
from storage.search.segments import FIRST_FIGURE, Segment, compared, find

Calls: TypeAlias = int
"""Some calls of a segment."""

_FIGURE_PARTS: Final = {name: FIRST_FIGURE + index for index, name in enumerate(FIGURES)}


class Values(Struct, frozen=True):
    """The calls have one of these digests; if it is negated, none of them."""

    digests: tuple[int, ...]
    negated: bool = False

    def parts(self, segment: Segment) -> Iterable[int]:
        """The parts of a segment that it needs."""
        return {segment.bucket(digest) for digest in self.digests}

    def calls(self, segment: Segment, parts: Mapping[int, bytes]) -> Calls:
        """The calls that are so."""
        found = bytearray(segment.calls)
        for digest in self.digests:
            if (part := parts.get(segment.bucket(digest))) is not None:
                for position in find(part, digest):
                    found[position] = 1
        return calls_of(found, negated=self.negated)


class Figures(Struct, frozen=True):
    """A figure of the calls is known and compares so; if it is negated, the others."""

    name: str
    operator: str
    number: float
    negated: bool = False

    def parts(self, _segment: Segment) -> Iterable[int]:
        """The parts of a segment that it needs."""
        return (_FIGURE_PARTS[self.name],)

    def calls(self, segment: Segment, parts: Mapping[int, bytes]) -> Calls:
        """The calls that are so."""
        part = parts.get(_FIGURE_PARTS[self.name])
        found = [False] * segment.calls if part is None else compared(part, self.operator, self.number)
        return calls_of(bytes(found), negated=self.negated)


Condition: TypeAlias = Values | Figures


def calls_of(found: bytes | bytearray, *, negated: bool = False) -> Calls:
    """Make calls of a byte for each, 0 or 1."""
    calls = int.from_bytes(found, "little")
    return calls ^ all_calls(len(found)) if negated else calls


def all_calls(number: int) -> Calls:
    """Return all calls of a segment of so many."""
    return int.from_bytes(b"\1" * number, "little")


def flags(calls: Calls, number: int) -> bytes:
    """Return a byte for each call of a segment of so many."""
    return calls.to_bytes(number, "little")


def is_indexed(search: Search) -> bool:
    """Whether the index knows all conditions of a search, aside from times and the order of words."""
    statuses = {search.status} - {None} | {
        value for term in search.terms if term.key == "status" and not term.negated for value in term.values
    }
    keys = {term.key for term in search.terms}
    return search.request_id is None and "request_id" not in keys and Status.IN_FLIGHT not in statuses


def conditions_of(search: Search, *, initiator_id: UUID | None, visible_to: UUID | None) -> list[Condition] | None:
    """Return the conditions of a search, aside from times and the order of words; None if nobody can be meant.

    The search `is_indexed`, and has ids in place of names.
    """
    users = {user for user in (initiator_id, visible_to) if user is not None}
    if len(users) > 1:
        return None
    wanted: Sequence[tuple[str, Any]] = (
        *(("initiator_id", user) for user in users),
        ("provider", search.provider),
        ("provider_name", search.provider_name),
        ("model", search.model),
        ("client", search.client),
        ("client_session_id", search.session_id),
        ("status", search.status),
    )
    found: list[Condition] = [Values((value_digest(field, value),)) for field, value in wanted if value is not None]
    for term in search.terms:
        found += _conditions(term)
    if search.texts is not None:
        found += [Values((word_digest(word),)) for phrase in search.texts.phrases for word in phrase]
        # Of others only those of one word: where several follow one another, only the text shows it.
        found += [
            Values((word_digest(phrase[0]),), negated=True) for phrase in search.texts.without if len(phrase) == 1
        ]
    return list(dict.fromkeys(found))


def _conditions(term: Term) -> Iterable[Condition]:
    key = KEYS[term.key]
    if key.figure:
        for value in term.values:
            comparison: Comparison = value
            yield Figures(key.figure, comparison.operator, float(comparison.number), term.negated)
        return
    if key.is_tag:
        yield Values(tuple(value_digest(f"tags.{tag.name}", tag.value) for tag in term.values), term.negated)
        return
    values = [f"{value.hundreds}xx" if isinstance(value, StatusClass) else value for value in term.values]
    yield Values(tuple(value_digest(field, value) for field in key.fields for value in values), term.negated)
