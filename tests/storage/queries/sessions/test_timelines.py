from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from storage.aggregation.sessions.session_job import SessionJob
from storage.queries.sessions import timelines as timelines_module
from storage.queries.sessions.timelines import Neighbours, neighbours_of, refusals_of, session_calls
from tests.storage.records import ADA, NOON
from tests.storage.session_checks import Call, keep

BOB = UUID("00000b0b-0000-4000-8000-000000000000")


@pytest.mark.gen_test
async def test_all_calls_of_a_session_are_read_in_short(database, monkeypatch):
    await keep(database, Call(1, "a"), Call(2, "a", root=1), Call(3, "b"), Call(4, "a"), Call(5, "a", root=4))
    await SessionJob(database).add_pending()
    calls, more = await session_calls(database, uuid5(ADA.id, "a"))
    assert ([call["_id"].int for call in calls], more) == ([1, 2, 4, 5], False)
    assert "user_prompts" not in calls[0]
    monkeypatch.setattr(timelines_module, "MAX_CALLS", 3)
    calls, more = await session_calls(database, uuid5(ADA.id, "a"))
    assert ([call["_id"].int for call in calls], more) == ([1, 2, 4], True)


@pytest.mark.gen_test
async def test_refusals_are_those_of_the_same_tokens_in_that_time(database):
    def row(number, **changes):
        fields = {"_id": number, "initiator_id": ADA.id, "api_key_id": "t", "at": NOON + timedelta(seconds=number)}
        return fields | changes

    await database.refusals.insert_many(
        [row(0), row(1), row(2), row(3, api_key_id="u"), row(4, initiator_id=BOB), row(5, shadow=True), row(9)]
    )
    found = await refusals_of(database, ADA.id, ["t"], NOON + timedelta(seconds=1), NOON + timedelta(seconds=8))
    assert [one["_id"] for one in found] == [1, 2]


@pytest.mark.gen_test
async def test_neighbours_are_the_sessions_of_the_same_user(database):
    await keep(database, Call(1, "a"), Call(2, "b"), Call(3, "b", initiator=BOB), Call(4, "c"))
    await SessionJob(database).add_pending()
    ids = {name: uuid5(ADA.id, name) for name in "abc"}
    found = {}
    for name, id_ in ids.items():
        found[name] = await neighbours_of(database, await database.sessions.find_one({"_id": id_}))
    assert found == {
        "a": Neighbours(None, ids["b"]),
        "b": Neighbours(ids["a"], ids["c"]),
        "c": Neighbours(ids["b"], None),
    }
