"""Histograms of how long calls took. Pure: no I/O, no clock.

A histogram is one number: digit by digit, of 32 bits each, it has the number of calls in each bucket. Bucket 0 has calls
of up to 1 ms, bucket n those of up to `GROWTH`**n ms that are in none before, and `LAST_BUCKET` all longer ones. So
histograms are added and subtracted like other numbers, and a whole one costs no more than one addition. It is right
while no bucket has 4,294,967,296 calls or more.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

GROWTH = 1.1
"""How much wider each bucket of a histogram is than the one before."""

LAST_BUCKET = 200
"""The last bucket of a histogram, for everything that took longer than 48 hours."""

DIGIT_BITS = 32


def histogram(buckets: Iterable[int]) -> int:
    """Return the histogram of calls in these buckets."""
    return sum(1 << DIGIT_BITS * bucket for bucket in buckets)


def pack(histogram: int) -> bytes:
    """Return a histogram as the database has it: a byte for its first bucket, then the digits, lowest first.

    One below zero is empty.
    """
    histogram = max(histogram, 0)
    first = _first_bucket(histogram)
    digits = histogram >> DIGIT_BITS * first
    return bytes([first]) + digits.to_bytes((digits.bit_length() + 7) // 8, "little")


def unpack(packed: bytes) -> int:
    """Return the opposite of `pack`."""
    return int.from_bytes(packed[1:], "little") << DIGIT_BITS * packed[0]


def quantiles(histogram: int, shares: Iterable[float]) -> list[float] | None:
    """Return how many milliseconds each of these shares of the calls took at most, None of no calls.

    The error is at most 5 % of it: a bucket of the histogram stands for the middle of the times that fall into it, to a
    tenth of a millisecond.

    Args:
        histogram: How long they took.
        shares: From 0 to 1, so 0.95 for the 95th percentile.
    """
    if histogram <= 0:
        return None
    first = _first_bucket(histogram)
    digits = histogram >> DIGIT_BITS * first
    number = -(-digits.bit_length() // DIGIT_BITS)
    passed = list(accumulate(struct.unpack(f"<{number}I", digits.to_bytes(4 * number, "little"))))
    return [_MIDDLES[first + bisect_left(passed, share * passed[-1])] for share in shares]


def buckets(histogram: int) -> Iterator[tuple[float, int]]:
    """Yield (upper end in ms, to a tenth; number of calls) of each bucket that has calls."""
    for bucket in range(LAST_BUCKET + 1):
        if number := histogram >> DIGIT_BITS * bucket & 0xFFFFFFFF:
            yield round(GROWTH**bucket, 1), number


_MIDDLES = (1.0, *(round(GROWTH**bucket * 2 / (GROWTH + 1), 1) for bucket in range(1, LAST_BUCKET + 1)))


def _first_bucket(histogram: int) -> int:
    """Return the lowest bucket that has calls, 0 if none has."""
    return max((histogram & -histogram).bit_length() - 1, 0) // DIGIT_BITS
