from __future__ import annotations

import asyncio
import selectors

import pytest

from handlers.monitoring.metrics import SAMPLE_SECONDS, LoopLag


class Selector(selectors.SelectSelector):
    """Does not wait: the time until the next thing is due just passes."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0
        return super().select(0)


@pytest.fixture
def selector():
    return Selector()


@pytest.fixture
def loop(selector):
    """An event loop on that clock."""
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    yield loop
    loop.close()


def test_the_latest_sample_says_by_how_much_the_loop_was_held_up(loop, selector):
    async def hold_up():
        lag = LoopLag()
        watching = asyncio.create_task(lag.watch())
        await asyncio.sleep(0.75 * SAMPLE_SECONDS)
        samples = [lag.seconds]
        selector.now += 2
        await asyncio.sleep(0.25 * SAMPLE_SECONDS)
        samples.append(lag.seconds)
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        watching.cancel()
        return [*samples, lag.seconds]

    assert loop.run_until_complete(hold_up()) == [0, 2 - 0.25 * SAMPLE_SECONDS, 0]
