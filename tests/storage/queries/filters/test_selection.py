from intercept.records import Status
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.indexes import BY_COMBINATION, BY_INITIATOR, BY_LINK, BY_REQUEST, BY_TIME, IN_FLIGHT
from storage.queries.filters.keys import Term
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import Selection
from tests.cases import for_each
from tests.storage.records import ADA, INSTANCE, NOON

HOURS_TOO, DAYS_ALONE = [Bucket.DAY, Bucket.HOUR], [Bucket.DAY]


def selected(search, visible_to=None):
    return Selection.of(search.filter(initiator_id=ADA.id if search.user else None), visible_to)


@for_each(
    ("search", "visible_to", "breakdown", "count_field", "buckets", "indexes"),
    [
        (Search(), None, Breakdown.ALL, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (Search(status=Status.FAILED), None, Breakdown.ALL, "failed", HOURS_TOO, (BY_TIME, BY_TIME)),
        (Search(model="m"), None, Breakdown.MODEL, "interceptions", HOURS_TOO, (BY_TIME, BY_COMBINATION)),
        (Search(client="c"), None, Breakdown.CLIENT, "interceptions", HOURS_TOO, (BY_TIME, BY_COMBINATION)),
        (Search(provider="p"), None, Breakdown.PROVIDER, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (Search(provider="p", provider_name="n"), None, Breakdown.PROVIDER, "interceptions", HOURS_TOO, (BY_TIME, BY_TIME)),
        (Search(model="m", provider="p"), None, Breakdown.COMBINATION, "interceptions", DAYS_ALONE, (BY_TIME, BY_COMBINATION)),
        (Search(user="ada"), None, Breakdown.USER, "interceptions", HOURS_TOO, (BY_INITIATOR, BY_INITIATOR)),
        (Search(), ADA.id, Breakdown.USER, "interceptions", HOURS_TOO, (BY_INITIATOR, BY_INITIATOR)),
        (Search(model="m", status=Status.COMPLETED), ADA.id, Breakdown.USER_COMBINATION, "completed", HOURS_TOO, (BY_INITIATOR,) * 2),
        (Search(status=Status.IN_FLIGHT, model="m"), ADA.id, None, "in_flight", [], (IN_FLIGHT,) * 2),
        (Search(session_id="s", model="m"), None, None, "interceptions", [], (BY_LINK, BY_LINK)),
        (Search(request_id="r", session_id="s"), ADA.id, None, "interceptions", [], (BY_REQUEST, BY_REQUEST)),
        (Search(request_id="r", status=Status.IN_FLIGHT), None, None, "in_flight", [], (BY_REQUEST, BY_REQUEST)),
    ],
)  # fmt: skip
def test_the_smallest_rollups_and_the_narrowest_index_are_chosen(
    *, search, visible_to, breakdown, count_field, buckets, indexes
):
    selection = selected(search, visible_to)
    assert (selection.breakdown, selection.count_field, selection.buckets) == (breakdown, count_field, buckets)
    assert (selection.index, selection.count_index) == indexes


def test_an_index_is_chosen_by_values_that_are_asked_for_not_by_others():
    assert selected(Search(terms=(Term("user", (ADA.id, INSTANCE)),))).index == BY_INITIATOR
    assert selected(Search(terms=(Term("user", (ADA.id,), True),))).index == BY_TIME


@for_each(
    ("search", "narrows"),
    [
        (Search(), False),
        (Search(user="ada"), False),
        (Search(started_after=NOON), False),
        (Search(status=Status.COMPLETED), True),
        (Search(user="ada", model="m"), True),
    ],
)
def test_what_stands_beside_them_in_their_index_is_known(search, narrows):
    selection = selected(search)
    assert selection.narrows is narrows
    assert selection.widened.narrows is False
    assert selection.widened.values == ({"initiator_id": ADA.id} if search.user else {})
