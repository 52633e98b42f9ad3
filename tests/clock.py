"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import datetime


class Clock:
    """Says the time that it was given, or that a test sets."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time
