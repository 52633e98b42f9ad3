"""Running what is asynchronous in form only."""


def at_once(coroutine):
    """The result of a coroutine that never waits; one that does is a failure."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError("it waited")
