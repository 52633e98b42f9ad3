"""Bounds on processor time that also hold on a machine that is slow, or busy with other things."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 5
KNOWN_SECONDS = 0.014
"""What the work of `slowness` takes on the machine on which bounds are set."""


def slowness() -> float:
    """How many times longer the processor takes at the moment for known work; at least 1."""
    began, total = time.thread_time(), 0
    for number in range(200_000):
        total += number
    return max(1.0, (time.thread_time() - began) / KNOWN_SECONDS)


def seconds_of(work: Callable[[], object]) -> float:
    """The processor time of this thread for some work, once."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def is_within(bound: float, measure: Callable[[], float]) -> bool:
    """Whether what is measured is below a bound in one of five tries.

    A machine that is busy takes longer now and then, what is slow by itself does always. A processor that others share is
    slower for longer: what it takes for known work says how much.
    """
    return any(measure() < bound * slowness() for _ in range(TRIES))
