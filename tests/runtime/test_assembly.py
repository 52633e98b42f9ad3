import threading
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Refusal, Rule
from runtime.assembly import open_bridge, open_traces
from runtime.process import now
from settings import SettingError, Settings

ADA = UUID(int=1)


@given(st.integers(0, 2**62))
def test_the_clock_is_cut_to_whole_milliseconds(nanoseconds):
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr("runtime.process.time_ns", lambda: nanoseconds)
        instant = now()
    assert instant == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=nanoseconds // 1_000_000)


async def test_traces_are_there_when_they_are_switched_on_and_end_with_the_bridge(database, tmp_path, monkeypatch):
    async with AsyncExitStack() as stack:
        assert open_traces(Settings(), ADA, stack) is None
    async with AsyncExitStack() as stack:
        bridge = await open_bridge(Settings(data_dir=tmp_path, otel_traces=True), database, [], stack)
        assert bridge.trace is not None
        assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == [
            "OtelBatchSpanRecordProcessor"
        ]
    assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == []
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingError, match=r"^otel-traces: max_queue_size must be a positive integer\.$"):
            open_traces(Settings(otel_traces=True), ADA, stack)


async def test_what_was_refused_is_written_when_the_bridge_stops(database, tmp_path):
    async with AsyncExitStack() as stack:
        bridge = await open_bridge(Settings(data_dir=tmp_path), database, [], stack)
        bridge.refusal_recorder.note(Refusal(rule=Rule.RATE, status=429))
        assert "refusals" in [job.name for job in bridge.jobs]
    assert await database.refusals.count_documents({}) == 1
