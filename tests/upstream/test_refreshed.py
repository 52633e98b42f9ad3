"""Values that end: fetched once for all who want them, ahead of their end, and again after a failure."""

import asyncio

import pytest

from upstream.refreshed import Refreshed


class Source:
    """Gives what it is told to, once its gate is open, on a clock that a test sets."""

    def __init__(self, *values):
        self.now = 1000.0
        self.values = list(values)
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.refreshed = Refreshed(self.fetch, lambda: self.now, lambda _, now: (now + 60, now + 600), "no value")

    async def fetch(self):
        self.calls += 1
        await self.gate.wait()
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    async def fetched(self):
        """Let a fetch in the background end."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def get(self, passed=0.0):
        self.now += passed
        return await self.refreshed.get()


async def test_those_who_come_at_once_wait_for_one_fetch_and_whoever_leaves_ends_none():
    source = Source("first")
    source.gate.clear()
    waiting = [asyncio.create_task(source.get()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == ["first"] * 4
    assert (await source.get(59.9), source.calls) == ("first", 1)


async def test_a_value_is_fetched_ahead_and_nobody_waits_until_it_has_ended():
    source = Source("first", "second", "third")
    await source.get()
    source.gate.clear()
    assert [await source.get(60), await source.get()] == ["first", "first"]
    source.gate.set()
    await source.fetched()
    assert (await source.get(), source.calls) == ("second", 2)
    assert (await source.get(600), source.calls) == ("third", 3)


@pytest.mark.expects_log(r"WARNING upstream.refreshed: no value: OSError: (still )?away$")
async def test_a_value_is_kept_to_its_end_while_it_cannot_be_fetched_and_a_failure_is_followed_by_a_pause():
    source = Source("first", OSError("away\nmore"), OSError("still away"), "second")
    await source.get()
    assert await source.get(60) == "first"
    await source.fetched()
    assert (await source.get(4.9), source.calls) == ("first", 2)
    for passed, calls in ((600, 3), (4.9, 3)):
        with pytest.raises(OSError, match="still away"):
            await source.get(passed)
        assert source.calls == calls
    assert (await source.get(0.1), source.calls) == ("second", 4)


@pytest.mark.expects_log("no value: OSError: away")
async def test_a_clock_that_is_set_back_delays_no_fetch_after_one_that_failed():
    source = Source(OSError("away"), "first")
    with pytest.raises(OSError, match="away"):
        await source.get()
    assert await source.get(-3600) == "first"


@pytest.mark.expects_log("no value: OSError: away")
async def test_a_value_is_renewed_once_in_a_while_and_kept_where_that_fails():
    source = Source("first", OSError("away"), "second", "third")
    await source.get()
    assert [await source.refreshed.renewed(30) for _ in range(2)] == ["first", "first"]
    source.now += 5
    assert [await source.refreshed.renewed(30) for _ in range(2)] == ["second", "second"]
    source.now += 30
    assert (await source.refreshed.renewed(30), source.calls) == ("third", 4)
