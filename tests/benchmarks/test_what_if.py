"""The measurement of what-if replays every call of its range."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.what_if import replay
from tests.storage.calls import Calls


@pytest.mark.gen_test
async def test_every_call_of_the_range_is_replayed_and_its_time_told(database):
    calls = Calls(database)
    now = datetime.now(UTC)
    for number, days in ((1, 9), (2, 2), (3, 1)):
        await calls.start(number, started_at=now - timedelta(days=days))
        await calls.end(number, ended_at=now - timedelta(days=days) + timedelta(seconds=1))
    told = await replay(database, days=7)
    assert re.fullmatch(
        r"2 calls in [\d.]+ s, [\d,]+ a second; of the processor [\d.]+ us a call, [\d.]+ us of it to decide; 0 refused",
        told,
    )
