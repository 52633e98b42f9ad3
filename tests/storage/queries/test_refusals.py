from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from intercept.refusals import Refusal, Rule
from resources.recorded import refusals as resources
from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.queries.paging import UnknownCursorError
from storage.queries.refusals import Refusals
from tests.storage.records import ADA, NOON, as_json

GRACE = UUID(int=7)
MINUTES = 6


async def fill(database):
    """In each of some minutes one refusal of Ada, two of Grace, and one of nobody known."""
    recorder = RefusalRecorder(database, now=lambda: time)
    for minute in range(MINUTES):
        time = NOON + timedelta(minutes=minute)
        recorder.note(Refusal(rule=Rule.RATE, status=429, initiator_id=ADA.id, provider="openai"))
        for _ in range(2):
            recorder.note(Refusal(rule=Rule.OWN_KEY_NOT_ALLOWED, status=403, initiator_id=GRACE))
        recorder.note(Refusal(rule=Rule.INVALID_TOKEN, status=401, client_ip="192.0.2.1"))
    await recorder.flush()


@pytest.fixture
def refusals(filled):
    return Refusals(filled)


@pytest.mark.gen_test
async def test_pages_behind_one_another_have_every_row_once(refusals):
    for visible_to in (None, ADA.id, GRACE):
        after_id, seen, pages = None, [], []
        while pages[-1:] != [0]:
            count, page = await refusals.page({}, visible_to=visible_to, limit=4, after_id=after_id)
            seen, pages = seen + page, [*pages, len(page)]
            after_id = page[-1]["_id"] if page else None
        rows = 3 * MINUTES if visible_to is None else MINUTES
        assert count == len(seen) == len({row["_id"] for row in seen}) == rows, visible_to
        assert seen == sorted(seen, key=lambda row: (row["at"], row["_id"]), reverse=True), visible_to
        assert visible_to is None or {row["initiator_id"] for row in seen} == {visible_to}
        for offset in (0, 3):
            _, page = await refusals.page({}, visible_to=visible_to, limit=2, offset=offset)
            assert page == seen[offset : offset + 2], (visible_to, offset)


@pytest.mark.gen_test
async def test_a_row_of_somebody_else_is_no_place_to_begin_behind(refusals):
    _, (row, *_) = await refusals.page({"initiator_id": GRACE}, visible_to=None, limit=1)
    for unknown, visible_to in ((row["_id"], ADA.id), (uuid4(), None)):
        with pytest.raises(UnknownCursorError):
            await refusals.page({}, visible_to=visible_to, limit=1, after_id=unknown)


@pytest.mark.gen_test
async def test_a_member_who_asks_for_somebody_else_finds_nothing(refusals):
    assert await refusals.page({"initiator_id": GRACE}, visible_to=ADA.id, limit=9) == (0, [])


@pytest.mark.gen_test
async def test_a_row_is_shown_with_all_its_keys(refusals):
    _, (row, *_) = await refusals.page({"initiator_id": GRACE}, visible_to=None, limit=1)
    assert as_json(resources.Refusal.of, row) == {
        "id": str(row["_id"]),
        "at": "2026-03-01T12:05:00.250Z",
        "initiator": {"id": str(GRACE), "username": "", "name": ""},
        "api_key_id": None,
        "client_ip": None,
        "method": None,
        "path": None,
        "provider": None,
        "route": None,
        "model": None,
        "status": 403,
        "rule": "own_key_not_allowed",
        "retry_after_ms": None,
        "message": None,
        "request_ids": [],
        "more": 1,
    }
