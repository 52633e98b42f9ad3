"""A monotonic clock that moves only when a test says so."""

SECOND = 1_000_000_000


class Clock:
    """Counts nanoseconds from an arbitrary start, as the system's does."""

    def __init__(self) -> None:
        self.now_ns = 123_456_789

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, nanoseconds: int) -> None:
        assert nanoseconds >= 0
        self.now_ns += nanoseconds
