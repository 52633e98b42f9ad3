from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import Status
from storage.live.filter_eval import matches
from storage.queries.filters.interceptions import Search
from tests.storage.records import ADA, NOON

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
IDS = [ADA.id, BOB_ID]
NAMES = ["a", "b", ""]
TIMES = [NOON + timedelta(milliseconds=number) for number in range(3)]

names = st.none() | st.sampled_from(NAMES)
searches = st.builds(
    Search,
    provider=names,
    provider_name=names,
    model=names,
    client=names,
    session_id=names,
    status=st.none() | st.sampled_from(Status),
    started_after=st.none() | st.sampled_from(TIMES),
    started_before=st.none() | st.sampled_from(TIMES),
    request_id=names,
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
    },
)


async def found(database, kept, conditions):
    """What MongoDB itself finds."""
    await database.interceptions.delete_many({})
    await database.interceptions.insert_many([document | {"_id": number} for number, document in enumerate(kept)])
    return {document["_id"] async for document in database.interceptions.find(conditions)}


filters = st.builds(Search.filter, searches, initiator_id=st.none() | st.sampled_from(IDS), in_flight=st.booleans())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.lists(documents, min_size=1, max_size=20), conditions=filters)
def test_a_document_matches_when_mongodb_finds_it(io_loop, database, kept, conditions):
    matching = {number for number, document in enumerate(kept) if matches(document, conditions)}
    assert matching == io_loop.run_sync(lambda: found(database, kept, conditions))


def test_a_field_that_is_missing_matches_nothing_that_is_asked_for():
    assert not matches({}, {"model": "m"})
    assert not matches({"started_at": None}, {"started_at": {"$lte": NOON}})
    assert matches({}, {})


def test_an_operator_that_no_search_makes_is_refused():
    with pytest.raises(KeyError, match=r"\$ne"):
        matches({"model": "m"}, {"model": {"$ne": "m"}})
