"""Ids that cannot be guessed and are cheap for a database, without a system call for each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from struct import iter_unpack
from uuid import UUID

from msgspec import convert

# Ids made from one read of random bytes.
DRAWN = 256
_NANOSECONDS = 1_000_000  # of a millisecond
_TIME_SIZE, _SIZE = 6, 10
_RANDOM = int.from_bytes(bytes.fromhex("0fff 3fff ffffffffffff") * DRAWN)
_VERSION_7 = int.from_bytes(bytes.fromhex("7000 8000 000000000000") * DRAWN)


def time_ordered_ids(now_ns: Callable[[], int] = time.time_ns) -> Iterator[UUID]:
    """UUIDs of version 7 (RFC 9562, section 5.7) without end, for one thread, in half the time of `uuid4`.

    Documents that are stored one after another then have neighbouring ids: a new one goes to the end of an index, which is in
    memory, instead of to any page of it. 74 bits of each are random, those within a millisecond are in no order.

    A forked process would give out the same ones as its parent. Nothing here forks: workers are started with `exec`.

    Args:
        now_ns: The time, in nanoseconds since 1970.
    """
    while True:
        drawn = int.from_bytes(os.urandom(_SIZE * DRAWN)) & _RANDOM | _VERSION_7
        for (octets,) in iter_unpack(f"{_SIZE}s", drawn.to_bytes(_SIZE * DRAWN)):
            yield convert((now_ns() // _NANOSECONDS).to_bytes(_TIME_SIZE) + octets, UUID)
