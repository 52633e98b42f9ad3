import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.live import listeners
from storage.live.listeners import QUEUED_BYTES, QUEUED_EVENTS, End, Event, Listener


@pytest.fixture
def dropped():
    """What was called when a listener was dropped."""
    return []


@pytest.fixture
def listener(dropped):
    """One who wants the model m, and has joined at position 10."""
    has_joined = Listener([{"model": "m"}], lambda: dropped.append(has_joined.ended))
    has_joined.join("10")
    return has_joined


async def taken(listener):
    """Everything that waits."""
    events = []
    while listener._waiting:
        events.append(await listener.next_event())
    return events


def event(number, size=2):
    return Event(str(number), b"x" * size)


@pytest.mark.gen_test
async def test_its_end_is_told_at_once_whatever_waits_and_the_first_reason_counts(listener, dropped):
    listener.send(event(11))
    listener.end(End.LEFT)
    listener.end(End.FAILED)
    listener.send(event(12))
    listener.heartbeat("13")
    assert await listener.next_event() is None
    assert (listener.ended, dropped) == (End.LEFT, [])


@pytest.mark.gen_test
async def test_one_that_takes_nothing_is_dropped_when_as_many_bytes_wait_as_may(listener, dropped):
    await taken(listener)
    listener.send(event(11, QUEUED_BYTES - 1))
    listener.send(event(12, 1))
    assert dropped == []
    listener.send(event(13, 1))
    assert dropped == [End.SLOW]


@pytest.mark.gen_test
async def test_a_heartbeat_has_a_position_and_a_stuck_listener_is_dropped_next(listener, dropped):
    await taken(listener)
    listener.heartbeat("12")
    assert await listener.next_event() == Event("12")
    listener.heartbeat("13")
    listener.send(event(14))
    assert dropped == []
    listener.heartbeat("15")
    assert dropped == [End.SLOW]


@pytest.mark.gen_test
async def test_while_it_is_behind_it_asks_for_more_until_there_is_none(dropped):
    listener = Listener([], lambda: dropped.append(True))
    listener.behind = object()
    assert await listener.next_event() is None
    for number in range(2 * QUEUED_EVENTS):
        listener.send(event(number))
    listener.missed(more=False)
    assert len(await taken(listener)) == 2 * QUEUED_EVENTS
    taking = asyncio.create_task(listener.next_event())
    await asyncio.sleep(0)
    assert not taking.done()
    listener.missed(more=True)
    assert await taking is None
    assert dropped == []


@given(st.lists(st.integers(0, 5) | st.none()))
def test_no_more_waits_than_may_and_what_is_taken_is_what_was_told(steps):
    loop = asyncio.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listeners, "QUEUED_EVENTS", 4)
        patch.setattr(listeners, "QUEUED_BYTES", 9)
        listener = Listener([], lambda: None)
        sent, got = [], []
        for number, size in enumerate(steps):
            if size is None:
                if listener._waiting:
                    got.append(loop.run_until_complete(listener.next_event()))
            elif not listener.ended:
                sent.append(event(number, size))
                listener.send(sent[-1])
            waiting = [len(event.interception) for event in listener._waiting]
            assert len(waiting) <= 4
            assert sum(waiting) <= 9
            assert listener._bytes == sum(waiting)
        assert got == sent[: len(got)]
        assert listener.ended or len(got) + len(listener._waiting) == len(sent)
    loop.close()
