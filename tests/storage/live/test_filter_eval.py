from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason, Status
from storage.live.filter_eval import matches
from storage.queries.filters.keys import COMPARISONS, Comparison, StatusClass, Term
from storage.queries.filters.search_language import Search
from tests.examples import examples
from tests.storage.records import ADA, NOON
from tests.storage.searches import search_of

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
IDS = [ADA.id, BOB_ID]
NAMES = ["a", "b", ""]
TIMES = [NOON + timedelta(milliseconds=number) for number in range(3)]

names = st.none() | st.sampled_from(NAMES)
values = {
    **dict.fromkeys(
        ("provider", "model", "client", "tool", "error", "agent", "token", "request_id"), st.sampled_from(NAMES)
    ),
    "user": st.sampled_from(IDS),
    "group": st.sampled_from(IDS),
    "status": st.sampled_from(Status),
    "end": st.sampled_from(EndReason),
    "http": st.sampled_from([200, 429, StatusClass(4), StatusClass(5)]),
    "streaming": st.booleans(),
    **{
        key: st.builds(Comparison, st.sampled_from(list(COMPARISONS)), st.sampled_from(numbers).map(Decimal))
        for key, numbers in {
            "cost": ["0", "0.5", "1"],
            "took": ["0", "1", "2000"],
            "tokens": ["0", "1", "10"],
            "cache": ["0", "0.3", "0.5", "1"],
        }.items()
    },
}
terms = st.sampled_from(sorted(values)).flatmap(
    lambda key: st.builds(Term, st.just(key), st.lists(values[key], min_size=1, max_size=2).map(tuple), st.booleans())
)
searches = st.builds(
    search_of,
    provider=names,
    provider_name=names,
    model=names,
    client=names,
    session_id=names,
    status=st.none() | st.sampled_from(Status),
    started_after=st.none() | st.sampled_from(TIMES),
    started_before=st.none() | st.sampled_from(TIMES),
    request_id=names,
    terms=st.lists(terms, max_size=4).map(tuple),
)
documents = st.fixed_dictionaries(
    {
        "started_at": st.sampled_from(TIMES),
        "initiator_id": st.sampled_from(IDS),
        "status": st.sampled_from(list(Status)),
    },
    optional={
        **dict.fromkeys(("provider", "provider_name", "model", "client"), st.sampled_from(NAMES)),
        "client_session_id": names,
        "request_ids": st.lists(st.sampled_from(NAMES), max_size=2),
        "api_key_id": st.sampled_from(NAMES),
        "group_ids": st.lists(st.sampled_from(IDS), max_size=2),
        "agent": st.none() | st.fixed_dictionaries({"id": names, "hints": st.just({"agent_type": "a"}) | st.just({})}),
        "tool_usages": st.lists(st.fixed_dictionaries({"tool": st.sampled_from(NAMES)}), max_size=2),
        "end_reason": st.sampled_from(list(EndReason)),
        "error": st.none() | st.fixed_dictionaries({"type": st.sampled_from(NAMES)}),
        "upstream_status": st.none() | st.sampled_from([200, 400, 429, 503]),
        "streaming": st.booleans(),
        "cost": st.none() | st.sampled_from(["0", "0.5", "2"]).map(lambda usd: {"usd": Decimal128(usd)}),
        "took": st.sampled_from([0, 1, 2]),
        "tokens": st.sampled_from([0, 1, 9, 10]),
        "cache_share": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    },
)


async def found(database, kept, conditions):
    """What MongoDB itself finds."""
    await database.interceptions.delete_many({})
    await database.interceptions.insert_many([document | {"_id": number} for number, document in enumerate(kept)])
    return {document["_id"] async for document in database.interceptions.find(conditions)}


filters = st.builds(Search.filter, searches, in_flight=st.booleans())


@settings(max_examples=examples(5, 120), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.lists(documents, min_size=1, max_size=20), conditions=filters)
def test_a_document_matches_when_mongodb_finds_it(io_loop, database, kept, conditions):
    matching = {number for number, document in enumerate(kept) if matches(document, conditions)}
    assert matching == io_loop.run_sync(lambda: found(database, kept, conditions))
