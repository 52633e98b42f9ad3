from intercept.records import Status
from storage.derived.rollup import Breakdown
from storage.mongo.indexes import BY_COMBINATION, BY_INITIATOR, BY_LINK, BY_REQUEST, BY_TIME
from storage.queries.filters.keys import Term
from storage.queries.filters.selection import Selection
from tests.cases import for_each
from tests.storage.records import ADA, INSTANCE
from tests.storage.searches import search_of


def selected(search, visible_to=None):
    return Selection.of(search.filter(), visible_to)


@for_each(
    ("search", "visible_to", "breakdown", "count_field", "indexes"),
        (search_of(), None, Breakdown.ALL, "interceptions", (BY_TIME, BY_TIME)),
        (search_of(status=Status.FAILED), None, Breakdown.ALL, "failed", (BY_TIME, BY_TIME)),
        (search_of(model="m"), None, Breakdown.COMBINATION, "interceptions", (BY_TIME, BY_COMBINATION)),
        (search_of(client="c"), None, Breakdown.COMBINATION, "interceptions", (BY_TIME, BY_COMBINATION)),
        (search_of(provider="p"), None, Breakdown.COMBINATION, "interceptions", (BY_TIME, BY_COMBINATION)),
        (search_of(provider="p", provider_name="n"), None, Breakdown.COMBINATION, "interceptions", (BY_TIME, BY_COMBINATION)),
        (search_of(model="m", provider="p"), None, Breakdown.COMBINATION, "interceptions", (BY_TIME, BY_COMBINATION)),
        (search_of(user=ADA.id), None, Breakdown.USER, "interceptions", (BY_INITIATOR, BY_INITIATOR)),
        (search_of(), ADA.id, Breakdown.USER, "interceptions", (BY_INITIATOR, BY_INITIATOR)),
        (search_of(model="m", status=Status.COMPLETED), ADA.id, Breakdown.USER_COMBINATION, "completed", (BY_INITIATOR,) * 2),
        (search_of(status=Status.IN_FLIGHT, model="m"), ADA.id, None, "in_flight", (BY_COMBINATION,) * 2),
        (search_of(session_id="s", model="m"), None, None, "interceptions", (BY_LINK, BY_LINK)),
        (search_of(request_id="r", session_id="s"), ADA.id, None, "interceptions", (BY_REQUEST, BY_REQUEST)),
        (search_of(request_id="r", status=Status.IN_FLIGHT), None, None, "in_flight", (BY_REQUEST, BY_REQUEST)),
)  # fmt: skip
def test_the_smallest_rollups_and_the_narrowest_index_are_chosen(
    *, search, visible_to, breakdown, count_field, indexes
):
    selection = selected(search, visible_to)
    assert (selection.breakdown, selection.count_field) == (breakdown, count_field)
    assert (selection.index, selection.count_index) == indexes


def test_an_index_is_chosen_by_values_that_are_asked_for_not_by_others():
    assert selected(search_of(terms=(Term("user", (ADA.id, INSTANCE)),))).index == BY_INITIATOR
    assert selected(search_of(terms=(Term("user", (ADA.id,), True),))).index == BY_TIME
