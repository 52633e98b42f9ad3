from datetime import timedelta
from uuid import UUID

from intercept.records import EndReason, ProviderError, Status
from storage.queries import errors as errors_module
from storage.queries.errors import read_errors
from storage.queries.filters.search_language import refusals_of
from storage.queries.found import ErrorGroup, ErrorKey
from storage.queries.questions.question import Question
from storage.queries.questions.questions import Questions
from storage.queries.questions.reading import CallsRead
from tests.derived import derive
from tests.storage.calls import Calls
from tests.storage.records import ADA, NOON
from tests.storage.searches import search_of

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
DAY = 86_400
RANGE = {"started_after": NOON, "started_before": NOON + timedelta(hours=1)}


def at(number):
    return NOON + timedelta(seconds=number)


async def fail(database, number, message, **changes):
    calls = Calls(database)
    await calls.start(number, **changes)
    error = ProviderError(type="t", message=message)
    await calls.end(number, EndReason.UPSTREAM_ERROR, upstream_status=429, error=error)


async def groups(database, search=None, **more):
    search = search or search_of(**RANGE, status=Status.FAILED)
    failed = Question(NOON, NOON + timedelta(days=3), search.filter())
    refused = refusals_of(search)
    return await read_errors(Questions(database, slice_calls=2), failed, refused, texts=True, **more)


async def test_many_days_are_read_in_parts_and_it_is_told_how_far_that_is(database, monkeypatch):
    monkeypatch.setattr(errors_module, "MAX_DISTINCT", 2)
    for number in (1, 1_800, DAY, 2 * DAY, 2 * DAY + 1):
        await fail(database, number, "too many", initiator_id=BOB_ID if number == 1 else ADA.id)
    await fail(database, 2 * DAY + 2, "other")
    await derive(database, now=lambda: NOON)
    result = []

    async def tell(progress):
        result.append(progress)

    kind = ErrorKey("openai-eu", "gpt-5", 429, "upstream_error", "t", "too many")
    last, later = 2 * DAY + 1, 2 * DAY + 2
    expected = [
        ErrorGroup(kind, 5, {ADA.id, BOB_ID}, at(1), at(last), UUID(int=last), ADA.id, "too many"),
        ErrorGroup(
            kind._replace(template="other"), 1, {ADA.id}, at(later), at(later), UUID(int=later), ADA.id, "other"
        ),
    ]
    three_days = search_of(started_after=NOON, started_before=NOON + timedelta(days=3), status=Status.FAILED)
    assert await groups(database, three_days, on_progress=tell, seconds=60) == (expected, False)
    assert (result[0], result[-1]) == (CallsRead(0, 6), CallsRead(6, 6))
    assert len(result) > 2
    assert await groups(database, three_days) == (expected, False)


async def test_a_message_that_is_kept_as_a_hash_is_no_message(database):
    await fail(database, 1, "hmac-sha256:" + "0" * 64)
    found, _ = await groups(database)
    assert [(one.kind.template, one.message) for one in found] == [("", "")]


async def test_of_too_many_different_messages_the_rarest_are_left_out(database, monkeypatch):
    monkeypatch.setattr(errors_module, "MAX_DISTINCT", 1)
    for number, message in enumerate(("often", "often", "rare"), start=1):
        await fail(database, number, message)
    found, is_cut = await groups(database)
    assert ([one.kind.template for one in found], is_cut) == (["often"], True)
