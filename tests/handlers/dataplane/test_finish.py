import asyncio

import pytest

from handlers.dataplane.relay import finish


@pytest.mark.gen_test
async def test_work_is_done_to_its_end_however_often_the_request_is_stopped():
    begun, gate, done = asyncio.Event(), asyncio.Event(), []

    async def work():
        begun.set()
        await gate.wait()
        done.append("all")

    request = asyncio.ensure_future(finish(work()))
    await begun.wait()
    for _ in range(2):
        request.cancel()
        await asyncio.sleep(0)
        assert not request.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert done == ["all"]


@pytest.mark.gen_test
async def test_a_failure_of_the_work_is_raised():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finish(work())
