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


def poll(condition: Callable[[], Found], seconds: float = SECONDS) -> Found:
    """Wait until a condition holds, and return what it says then. One that does not within so many seconds is a failure."""
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        assert waited < seconds, "it never came true"
        # A tenth of the wait so far, so that few looks are in a long one.
        time.sleep(min(max(PAUSE_SECONDS, waited / 10), LONGEST_PAUSE_SECONDS))
    return found
