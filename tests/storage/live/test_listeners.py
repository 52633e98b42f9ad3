from storage.live.listeners import QUEUED_BYTES, End, Listener, LiveEvent


async def test_one_that_takes_nothing_is_dropped_when_more_bytes_wait_than_may():
    dropped = []
    listener = Listener([{"model": "m"}], lambda: dropped.append(listener.ended))
    listener.join("10")
    await listener.next_event()
    listener.send(LiveEvent("11", b"x" * (QUEUED_BYTES - 1)))
    listener.send(LiveEvent("12", b"x"))
    assert dropped == []
    listener.send(LiveEvent("13", b"x"))
    assert dropped == [End.SLOW]
