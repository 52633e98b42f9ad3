"""Waits for a condition in another process or in the database, which sends no event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PAUSE_SECONDS = 0.02
"""How long between two looks: who looks all the time takes the processor from what it waits for."""
SECONDS = 300

Found = TypeVar("Found")


def poll(condition: Callable[[], Found]) -> Found:
    """Wait until a condition holds, and return what it says then. One that never does is a failure."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(PAUSE_SECONDS)
    return found
