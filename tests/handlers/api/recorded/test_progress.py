"""Responses in lines: the progress, and at last the result or what went wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado.iostream import StreamClosedError

from handlers.lifecycle import SHUTTING_DOWN
from handlers.operations.problems import too_much
from handlers.operations.query import INVALID
from handlers.problems import DATABASE_UNAVAILABLE
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.questions.groups import TooMuchError, UnsupportedOrderError
from storage.queries.questions.questions import STREAM_SECONDS
from storage.queries.questions.reading import Progress
from tests.handlers.api.calls import record
from tests.handlers.api.recorded.test_statistics import STATS, counted, stats


@pytest.mark.gen_test
async def test_progress_is_told_in_lines_while_records_are_read(running):
    await record(running, model="a")
    await counted(running)
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await running.request("GET", f"{STATS}?group_by=agent&q=model:a", lines)
    assert (response.status, response.header("Content-Type")) == (200, "application/x-ndjson")
    *progress, last = map(json.loads, response.body.splitlines())
    assert [(one["progress"]["read"], one["progress"]["of"]) for one in progress] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert progress[-1]["progress"]["seconds_left"] == 0
    assert last["result"] == await stats(running, group_by="agent", q="model:a")
    (only,) = (await running.request("GET", f"{STATS}?group_by=model&bucket=all", lines)).body.splitlines()
    assert json.loads(only)["result"]["count"] == 1


@pytest.mark.gen_test
async def test_what_is_too_much_late_is_the_last_line(running, questions):
    async def fails(_question, on_progress):
        await on_progress(Progress(0, 40_000))
        raise TooMuchError(3, STREAM_SECONDS)

    questions.instead = fails
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await running.request("GET", f"{STATS}?group_by=agent", lines)
    progress, error = map(json.loads, response.body.splitlines())
    assert (response.status, progress) == (200, {"progress": {"read": 0, "of": 40_000, "seconds_left": 2.0}})
    expected = {
        "message": INVALID,
        "validations": [{"field": "from", "detail": too_much(TooMuchError(3, STREAM_SECONDS))}],
    }
    assert error == {"error": expected}

    async def refuses(*_):
        raise UnsupportedOrderError("sessions cannot be sorted by p95")

    questions.instead = refuses
    assert (await running.request("GET", f"{STATS}?group_by=agent", lines)).status == 400
    running.bridge.lifecycle.draining = True
    response = await running.request("GET", f"{STATS}?group_by=agent", lines)
    assert (response.status, json.loads(response.body)) == (503, {"message": SHUTTING_DOWN})


@pytest.mark.gen_test
async def test_a_database_that_becomes_unavailable_is_the_last_line(running, questions):
    async def fails(_question, on_progress):
        await on_progress(Progress(0, 40_000))
        raise DatabaseUnavailableError("gone")

    questions.instead = fails
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await running.request("GET", f"{STATS}?group_by=agent", lines)
    progress, error = map(json.loads, response.body.splitlines())
    assert (response.status, progress["progress"]["of"]) == (200, 40_000)
    assert error == {"error": {"message": DATABASE_UNAVAILABLE}}


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.gen_test
async def test_a_client_that_leaves_ends_the_reading(running, questions, accept):
    began, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def reads(_question, on_progress):
        began.set()
        for read in range(100_000):
            try:
                await on_progress(Progress(read, 100_000))
            except StreamClosedError:
                ended.set_result(read)
                raise
            await asyncio.sleep(0)

    questions.instead = reads
    client = await running.client()
    requested = asyncio.ensure_future(
        client.request("GET", f"{STATS}?group_by=agent", {"Accept": accept, **running.headers})
    )
    await began.wait()
    requested.cancel()
    client.close()
    assert await asyncio.wait_for(ended, 20) < 100_000
