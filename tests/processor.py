"""Bounds on processor time that also hold on a machine that is slow, or busy with other things."""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Callable

TRIES = 25
"""Enough that some come after a moment at which others had the processor and its caches."""
MIB = 2**20
FILLER = bytes(MIB)


def _count() -> None:
    total = 0
    for number in range(50_000):
        total += number


def _touch_memory() -> None:
    """Fill pages that the system has to find first, and make objects."""
    with mmap.mmap(-1, 4 * MIB) as fresh:
        for _ in range(4):
            fresh.write(FILLER)
    _ = [{"number": [number]} for number in range(10_000)]


def _read_much() -> None:
    """Read what no cache holds, as large bodies are read: search it, and make a text of it."""
    much = FILLER * 64
    for byte in b",[\\":
        much.count(byte)
    much.decode()


KNOWN_SECONDS = {_count: 0.0016, _touch_memory: 0.0057, _read_much: 0.08}
"""What known work takes on the machine on which bounds are set, at its best.

The last was not measured there: on another machine it takes 0.14 s, and the largest body 0.24 s where 0.15 s are allowed.
"""


def slowness() -> float:
    """How many times longer the processor takes at the moment for known work, be it arithmetic or memory; at least 1."""
    return max(1.0, *(min(map(seconds_of, [work] * 3)) / known for work, known in KNOWN_SECONDS.items()))


def seconds_of(work: Callable[[], object]) -> float:
    """The processor time of this thread for some work, once."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def is_within(bound: float, measure: Callable[[], float]) -> bool:
    """Whether what is measured is below a bound in one of `TRIES`.

    A machine that is busy takes longer now and then, what is slow by itself does always. A processor that others share, or
    a machine whose memory is new, is slower for longer: what it takes for known work says how much.
    """
    return any((seconds := measure()) < bound or seconds < bound * slowness() for _ in range(TRIES))


def is_linear(work: Callable[[int], object], size: int) -> bool:
    """Whether four times the size takes at most eight times as long: the least of one to `TRIES` counts."""
    short = long = math.inf
    for _ in range(TRIES):
        short = min(short, *(seconds_of(lambda: work(size)) for _ in range(2)))
        long = min(long, seconds_of(lambda: work(4 * size)))
        if long < 8 * max(short, 0.0005):
            return True
    return False
