from intercept.records import Status
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.indexes import BY_COMBINATION, BY_INITIATOR, BY_LINK, BY_REQUEST, BY_TIME
from storage.queries.filters.keys import Term
from storage.queries.filters.selection import Selection
from tests.cases import for_each
from tests.storage.records import ADA, INSTANCE, NOON
from tests.storage.searches import search_of

HOURS_TOO = [Bucket.DAY, Bucket.HOUR]


def selected(search, visible_to=None):
    return Selection.of(search.filter(), visible_to)


@for_each(
    ("search", "visible_to", "breakdown", "count_field", "buckets", "indexes"),
    [
        (search_of(), None, Breakdown.ALL, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (search_of(status=Status.FAILED), None, Breakdown.ALL, "failed", HOURS_TOO, (BY_TIME, BY_TIME)),
        (search_of(model="m"), None, Breakdown.COMBINATION, "interceptions", HOURS_TOO, (BY_TIME, BY_COMBINATION)),
        (search_of(client="c"), None, Breakdown.COMBINATION, "interceptions", HOURS_TOO, (BY_TIME, BY_COMBINATION)),
        (search_of(provider="p"), None, Breakdown.COMBINATION, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (search_of(provider="p", provider_name="n"), None, Breakdown.COMBINATION, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (search_of(model="m", provider="p"), None, Breakdown.COMBINATION, "interceptions", HOURS_TOO, (BY_TIME, BY_COMBINATION)),
        (search_of(user=ADA.id), None, Breakdown.USER, "interceptions", HOURS_TOO, (BY_INITIATOR, BY_INITIATOR)),
        (search_of(), ADA.id, Breakdown.USER, "interceptions", HOURS_TOO, (BY_INITIATOR, BY_INITIATOR)),
        (search_of(model="m", status=Status.COMPLETED), ADA.id, Breakdown.USER_COMBINATION, "completed", HOURS_TOO, (BY_INITIATOR,) * 2),
        (search_of(status=Status.IN_FLIGHT, model="m"), ADA.id, None, "in_flight", [], (BY_COMBINATION,) * 2),
        (search_of(session_id="s", model="m"), None, None, "interceptions", [], (BY_LINK, BY_LINK)),
        (search_of(request_id="r", session_id="s"), ADA.id, None, "interceptions", [], (BY_REQUEST, BY_REQUEST)),
        (search_of(request_id="r", status=Status.IN_FLIGHT), None, None, "in_flight", [], (BY_REQUEST, BY_REQUEST)),
    ],
)  # fmt: skip
def test_the_smallest_rollups_and_the_narrowest_index_are_chosen(
    *, search, visible_to, breakdown, count_field, buckets, indexes
):
    selection = selected(search, visible_to)
    assert (selection.breakdown, selection.count_field, selection.buckets) == (breakdown, count_field, buckets)
    assert (selection.index, selection.count_index) == indexes


def test_an_index_is_chosen_by_values_that_are_asked_for_not_by_others():
    assert selected(search_of(terms=(Term("user", (ADA.id, INSTANCE)),))).index == BY_INITIATOR
    assert selected(search_of(terms=(Term("user", (ADA.id,), True),))).index == BY_TIME


@for_each(
    ("search", "narrows"),
    [
        (search_of(), False),
        (search_of(user=ADA.id), False),
        (search_of(started_after=NOON), False),
        (search_of(status=Status.COMPLETED), True),
        (search_of(user=ADA.id, model="m"), True),
    ],
)
def test_what_stands_beside_them_in_their_index_is_known(search, narrows):
    selection = selected(search)
    assert selection.narrows is narrows
    assert selection.widened.narrows is False
    assert selection.widened.values == ({"initiator_id": ADA.id} if search.only("user") else {})
