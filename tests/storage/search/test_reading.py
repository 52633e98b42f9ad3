"""The time in which a search reads texts."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from storage.search.reading import TextTime


@pytest.mark.gen_test
async def test_of_a_users_searches_one_reads_at_a_time_and_it_ends_with_its_request():
    lock, begun, may_end, read = asyncio.Lock(), Event(), Event(), []

    def hold(number):
        begun.set()
        may_end.wait(30)
        read.append(number)

    def texts():
        return TextTime(lock, lambda: 0.0, 1.0)

    first = asyncio.create_task(texts().each(hold, [1, 2, 3]))
    while not begun.is_set():  # noqa: ASYNC110 - of a thread
        await asyncio.sleep(0)
    second = asyncio.create_task(texts().each(read.append, [4]))
    await asyncio.sleep(0)
    assert read == []
    first.cancel()
    await asyncio.wait([first])
    may_end.set()
    await second
    await asyncio.get_running_loop().shutdown_default_executor()
    assert sorted(read) == [1, 4]
