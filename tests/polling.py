"""Waits for a condition in another process or in the database, which sends no event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PAUSE_SECONDS = 0.02
"""How long between two looks: who looks all the time takes the processor from what it waits for."""
LONGEST_PAUSE_SECONDS = 0.25
SECONDS = 300

Found = TypeVar("Found")


def poll(condition: Callable[[], Found]) -> Found:
    """Wait until a condition holds, and return what it says then. One that never does is a failure."""
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        assert waited < SECONDS, "it never came true"
        time.sleep(pause(waited))
    return found


def pause(waited: float) -> float:
    """How long to wait for the next look, in seconds: a tenth of the wait so far, so that few looks are in a long one."""
    return min(max(PAUSE_SECONDS, waited / 10), LONGEST_PAUSE_SECONDS)
