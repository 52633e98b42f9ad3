"""Searches as tests say them."""

from storage.queries.filters.keys import Term
from storage.queries.filters.search_language import Search


def search_of(*, started_after=None, started_before=None, terms=(), texts=None, **values):
    """A search for calls that have one value of each of these keys."""
    own = tuple(Term(key, (value,)) for key, value in values.items() if value is not None)
    return Search(started_after=started_after, started_before=started_before, terms=(*own, *terms), texts=texts)
