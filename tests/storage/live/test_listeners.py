import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.live import listeners
from storage.live.listeners import Event, Listener


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


def event(number, size=2):
    return Event(str(number), b"x" * size)


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
