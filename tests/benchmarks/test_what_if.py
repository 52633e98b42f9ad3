"""The measurement of what-if replays every call of its range."""

from __future__ import annotations

import re

import pytest

from benchmarks import what_if


@pytest.mark.gen_test
async def test_every_call_of_the_range_is_replayed_and_its_time_told(database, monkeypatch):
    monkeypatch.setattr(what_if, "_AT_ONCE", 8)
    for calls in (8, 20):
        await what_if.fill(database, calls, 10)
        await what_if.fill(database, calls, 10)
        assert await database.interceptions.estimated_document_count() == calls
    replayed = await what_if.replay(database, days=5.2)
    assert re.fullmatch(
        r"10 calls in [\d.]+ s, [\d,]+ a second; of the processor [\d.]+ us a call, [\d.]+ us of it to decide; 0 refused; "
        r"at most [\d,]+ MiB of memory",
        replayed,
    )
