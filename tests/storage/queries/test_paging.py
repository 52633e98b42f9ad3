from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import ASCENDING, DESCENDING

from storage.queries.paging import Paging, Position, UnknownCursorError, visible
from tests.storage.records import ADA, NOON

# Few moments and few ids, so that many are alike.
positions = st.builds(
    Position,
    st.integers(0, 3).map(lambda second: NOON + timedelta(seconds=second)),
    st.integers(0, 20).map(lambda number: UUID(int=number)),
)


def matches(condition, position):
    """Whether MongoDB would find a document with these two fields."""
    values = {"at": position.at, "_id": position.id}
    compare = {"$lt": "__lt__", "$lte": "__le__", "$gt": "__gt__", "$gte": "__ge__"}
    for field, wanted in condition.items():
        if field == "$or":
            if not any(matches(one, position) for one in wanted):
                return False
        elif not all(getattr(values[field], compare[operator])(value) for operator, value in wanted.items()):
            return False
    return True


@pytest.mark.parametrize("direction", [ASCENDING, DESCENDING])
@given(listed=st.lists(positions, unique_by=lambda position: position.id), last=positions)
def test_behind_a_document_is_all_that_follows_it_in_the_order(direction, listed, last):
    paging = Paging("thing", "at", direction)
    ordered = sorted({*listed, last}, reverse=direction == DESCENDING)
    expected = ordered[ordered.index(last) + 1 :]
    assert [one for one in ordered if matches(paging.behind(last), one)] == expected


def test_the_order_is_by_time_and_then_by_id():
    assert Paging("thing", "at").order == (("at", -1), ("_id", -1))
    assert Paging("thing", "at", ASCENDING).order == (("at", 1), ("_id", 1))


@pytest.mark.gen_test
async def test_a_document_is_located_by_who_may_see_it(database):
    await database.refusals.insert_one({"_id": UUID(int=1), "at": NOON, "initiator_id": ADA.id})
    paging = Paging("refusal", "at")
    for who in (visible(None), visible(ADA.id)):
        assert await paging.locate(database.refusals, UUID(int=1), who) == (NOON, UUID(int=1))
    for id_, who in ((UUID(int=1), visible(UUID(int=9))), (UUID(int=2), visible(None))):
        with pytest.raises(UnknownCursorError, match=f"^there is no refusal {id_} that the caller may see$"):
            await paging.locate(database.refusals, id_, who)
