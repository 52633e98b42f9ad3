"""What calls cost: each call is in one row, from rollups if they have it, else from the records."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from storage.queries.found import SPEND
from storage.queries.money import read_recorded, spend_by_token, spend_by_user
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import NotRecordedError
from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions
from tests.derived import derive
from tests.storage.records import ADA
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY = timedelta(days=1)
BOB, CARL = UUID(int=5), UUID(int=6)
GROUPS = (UUID(int=7), UUID(int=8))
CALLS = [
    Call(1),
    Call(2, second=86_399, model="claude"),
    Call(3, second=86_400, initiator=BOB),
    Call(4, second=40 * 86_400, provider_name="openai-eu"),
]
USER, GROUP, TOKEN, PROVIDER, MODEL, CLIENT = map(
    By,
    (
        *(Dimension.USER, Dimension.GROUPS, Dimension.TOKEN),
        *(Dimension.PROVIDER, Dimension.MODEL, Dimension.CLIENT),
    ),
)


async def fill(database):
    flying, unpriced = Call(8), Call(9, second=5, model="unknown")
    ends = *(call.end(10 * call.number) for call in CALLS), unpriced.end(9, priced=False)
    await write(database, *(call.start for call in (*CALLS, flying, unpriced)), *ends)
    of_bob = {"$set": {"group_ids": list(GROUPS), "api_key_id": "bobs"}}
    await database.interceptions.update_one({"initiator_id": BOB}, of_bob)
    await derive(database, now=lambda: MIDNIGHT + DAY)


async def rows(database, *by, start=MIDNIGHT, days=60, **changes):
    question = Question(start, start + days * DAY, by=by, **{"period": Period.MONTH, **changes})
    return await Questions(database).every(question, SPEND, if_recorded=True)


async def test_rollups_and_records_say_the_same(filled):
    """A condition that holds for all, and that rollups do not show, is one for the records."""
    for by in ((), (USER,), (MODEL, USER), (TOKEN, GROUP), (PROVIDER,)):
        from_rollups = await rows(filled, *by, period=Period.DAY)
        assert len(from_rollups) > 1
        assert from_rollups == await rows(filled, *by, period=Period.DAY, conditions={"credential_kind": "centralized"})


async def test_rows_come_in_order_some_at_a_time(database):
    made = [Call(number, model=f"m{number:04}") for number in range(1, 502)]
    await write(database, *(call.start for call in made), *(call.end(1) for call in made))
    question = Question(MIDNIGHT, MIDNIGHT + DAY, {"credential_kind": "centralized"}, by=(MODEL,))
    pages = [[row.key for row in page] async for page in Questions(database).pages(question, SPEND)]
    assert list(map(len, pages)) == [500, 1]
    assert [key for page in pages for (key,) in page] == [call.model for call in made]


async def test_who_leaves_midway_keeps_nothing_open_in_the_database(database):
    await write(database, *(Call(number, model=f"m{number:04}").end(1) for number in range(1, 502)))
    await derive(database, now=lambda: MIDNIGHT + DAY)
    namespace = database.rollups.full_name
    idle = [{"$currentOp": {"idleCursors": True}}, {"$match": {"type": "idleCursor", "ns": namespace}}]

    async def open_cursors():
        return len(await database.rollups.database.client.admin.aggregate(idle).to_list(None))

    rows = Questions(database).pages(Question(MIDNIGHT, MIDNIGHT + DAY, by=(MODEL,)), SPEND)
    async for page in rows:
        assert (len(page), await open_cursors()) == (500, 1)
        await rows.aclose()
        assert await open_cursors() == 0


async def test_what_only_records_tell_is_refused_once_they_are_gone(database):
    await fill(database)
    assert len(await rows(database, GROUP, MODEL)) == 5
    await database.interceptions.delete_one({"_id": UUID(int=1)})
    with pytest.raises(NotRecordedError) as caught:
        await rows(database, GROUP, MODEL)
    assert caught.value.since == MIDNIGHT + DAY
    assert len(await rows(database, USER, MODEL)) == 5
    assert len(await rows(database, GROUP, MODEL, start=MIDNIGHT + DAY)) == 2
    await database.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + DAY}})
    with pytest.raises(NotRecordedError) as caught:
        await rows(database, GROUP, MODEL)
    assert caught.value.since == MIDNIGHT + DAY
    await database.interceptions.delete_many({})
    with pytest.raises(NotRecordedError):
        await rows(database, GROUP, MODEL)


async def test_the_spend_by_token_is_told_apart_for_each_user(database):
    calls = [Call(1), Call(2, 5), Call(3, 5, initiator=BOB), Call(4, 5, initiator=BOB)]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))
    await database.interceptions.update_one({"_id": calls[1].id}, {"$set": {"api_key_id": "another"}})
    questions, end = Questions(database), MIDNIGHT + DAY
    assert await spend_by_token(questions, MIDNIGHT, end) == {
        (ADA.id, "abcdefghij"): Decimal("0.00001"),
        (ADA.id, "another"): Decimal("0.00002"),
        (BOB, "abcdefghij"): Decimal("0.00003"),
    }
    later = await spend_by_token(questions, MIDNIGHT + timedelta(seconds=1), end)
    assert later.keys() == {(ADA.id, "another"), (BOB, "abcdefghij")}
    await database.interceptions.update_many({}, {"$set": {"credential_kind": "byok"}})
    assert await spend_by_token(questions, MIDNIGHT, end) == {}


async def test_the_spend_of_some_users_is_in_the_rollups_of_days(database):
    calls = [Call(1), Call(2, 86_400), Call(3, 86_405, initiator=BOB), Call(4, 86_400, initiator=CARL)]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))
    await derive(database, now=lambda: MIDNIGHT + 2 * DAY)
    users, end, questions = [ADA.id, BOB, CARL], MIDNIGHT + 3 * DAY, Questions(database)
    both = {ADA.id: Decimal("0.00003"), BOB: Decimal("0.00003")}
    assert await spend_by_user(questions, users, MIDNIGHT, end) == both
    assert await spend_by_user(questions, [ADA.id], MIDNIGHT + DAY, end) == {ADA.id: Decimal("0.00002")}
    assert await spend_by_user(questions, [], MIDNIGHT, end) == {}


async def test_calls_that_a_provider_bills_add_up_by_day_and_model(database):
    calls = [*CALLS[:3], Call(4, second=60, provider_name="openai-eu"), Call(5, second=60)]
    await write(database, *(call.start for call in calls), Call(8).start)
    await write(database, *(call.end(10 * call.number) for call in calls[:4]), calls[4].end(50, priced=False))
    for number, changes in ((6, {"provider": "azure"}), (7, {"credential_kind": "byok"})):
        await write(database, Call(number).start, Call(number).end(1))
        await database.interceptions.update_one({"_id": Call(number).id}, {"$set": changes})
    await derive(database, now=lambda: MIDNIGHT + 2 * DAY)

    async def read(names=(), types=("openai",), start=MIDNIGHT, days=2):
        return await read_recorded(Questions(database), types, names, start, start + days * DAY)

    first = MIDNIGHT.date()
    claude, m, tomorrow = await read()
    assert (claude.day, claude.model, claude.calls, claude.usd) == (first, "claude", 1, Decimal("0.00002"))
    assert (m.day, m.calls, m.unpriced, m.usd) == (first, 3, 1, Decimal("0.00005"))
    assert m.tokens[0] == 10 + 40 + 50
    assert (tomorrow.day, tomorrow.calls, tomorrow.tokens[0]) == (first + DAY, 1, 30)
    assert m.late == tomorrow.late == (0, 0, 0, 0)
    (eu,) = await read(names=("openai-eu",))
    assert (eu.calls, eu.tokens[0]) == (1, 40)
    (azure,) = await read(types=("azure", "foundry"))
    assert (azure.day, azure.calls) == (first, 1)
    assert await read(types=("anthropic",)) == []
    assert await read(days=1, start=MIDNIGHT + 5 * DAY) == []
    # what a call used that ended on the next day is told apart
    late = {"$set": {"ended_at": MIDNIGHT + DAY + timedelta(seconds=3)}}
    await database.interceptions.update_one({"_id": calls[1].id}, late)
    claude, *_ = await read()
    assert claude.late == claude.tokens != (0, 0, 0, 0)
    # days that are not recorded any more are not compared
    await database.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + DAY}})
    with pytest.raises(NotRecordedError) as refused:
        await read()
    assert refused.value.since == MIDNIGHT + DAY
    assert [one.day for one in await read(start=MIDNIGHT + DAY)] == [first + DAY]
