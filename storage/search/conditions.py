"""What is searched for: its conditions on the calls of a segment, and which of them meet these. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from intercept.records import Status
from storage.queries.filters.keys import COMPARISONS, KEYS, StatusClass, Term
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import Selection
from storage.search.entries import value_digest, word_digest
from storage.search.segments import Fields, Segment


class CallQuery(NamedTuple):
    """What is searched for.

    Attributes:
        search: The search, with ids in place of names.
        conditions: The MongoDB filter of it, without the texts.
        visible_to: The user whose calls alone may be seen; None sees all.
        searcher_id: Whose search it is.
    """

    search: Search
    conditions: Mapping[str, Any]
    visible_to: UUID | None
    searcher_id: UUID | None = None

    @property
    def selection(self) -> Selection | None:
        """Which calls are meant, whatever they say; None if that is surely none."""
        return Selection.of(self.conditions, self.visible_to)

    @property
    def has_order(self) -> bool:
        """Whether the order of words matters."""
        return self.search.texts is not None and self.search.texts.has_order

    @property
    def is_for_index(self) -> bool:
        """Whether no other index and no rollup answers a search by keys, so that the search index does it best."""
        selection = self.selection
        if selection is None or selection.breakdown is not None or "client_session_id" in selection.values:
            return False
        return is_indexed(self.search)


class Condition(Struct, frozen=True):
    """What is so of some calls of a segment.

    Attributes:
        names: The digests of which they have one; or the one figure that is known of them and compares so.
        negated: Whether it is so of the others.
        operator: How the figure compares with the number; empty for digests.
    """

    names: tuple[str, ...]
    negated: bool = False
    operator: str = ""
    number: float = 0

    def positions(self, fields: Fields) -> set[int]:
        """Return the positions of the calls, without regard to the negation."""
        if self.operator:
            compare, figures = COMPARISONS[self.operator], array("d", fields.get(self.names[0], b""))
            # A figure that is not known is NaN, which compares with nothing.
            return {position for position, figure in enumerate(figures) if compare(figure, self.number)}
        return set().union(*[array("H", fields[name]) for name in self.names if name in fields])


def positions_of(conditions: Iterable[Condition], segment: Segment, fields: Fields) -> set[int]:
    """Return the positions of the calls of a segment that meet all conditions and are not gone."""
    found: set[int] | None = None
    for condition in sorted(conditions, key=lambda one: one.negated):
        positions = condition.positions(fields)
        if condition.negated:
            found = (set(range(segment.calls)) if found is None else found) - positions
        else:
            found = positions if found is None else found & positions
        if not found:
            return found
    return (set(range(segment.calls)) if found is None else found).difference(segment.gone)


def is_indexed(search: Search) -> bool:
    """Whether the index knows all conditions of a search, aside from times and the order of words."""
    of_status = [term for term in search.terms if term.key == "status" and not term.negated]
    is_in_flight = any(Status.IN_FLIGHT in term.values for term in of_status)
    return not is_in_flight and all(term.key != "request_id" for term in search.terms)


def conditions_of(search: Search, visible_to: UUID | None) -> list[Condition]:
    """Return the conditions of a search, aside from times and the order of words.

    Args:
        search: One that `is_indexed`, with ids in place of names.
        visible_to: Of whom the calls have to be; None is everybody.
    """
    own = [] if visible_to is None else [Term("user", (visible_to,))]
    found = [condition for term in (*own, *search.terms) for condition in _conditions(term)]
    if search.texts is not None:
        found += [Condition((word_digest(word),)) for phrase in search.texts.phrases for word in phrase]
        # Of others only those of one word: where several follow one another, only the text shows it.
        alone = [phrase[0] for phrase in search.texts.without if len(phrase) == 1]
        found += [Condition((word_digest(word),), negated=True) for word in alone]
    return list(dict.fromkeys(found))


def _conditions(term: Term) -> list[Condition]:
    key = KEYS[term.key]
    if key.figure:
        return [Condition((term.key,), term.negated, one.operator, float(one.number)) for one in term.values]
    if key.is_tag:
        pairs = [(f"tags.{tag.name}", tag.value) for tag in term.values]
    else:
        values = [f"{value.hundreds}xx" if isinstance(value, StatusClass) else value for value in term.values]
        pairs = [(field, value) for field in key.fields for value in values]
    return [Condition(tuple([value_digest(*pair) for pair in pairs]), term.negated)]
