"""Versions of rollups: the rollup of all users, by bucket.

Every change of rollups of a bucket changes its rollup of all users in the same transaction, see
`storage.aggregation.rollup_job` and `storage.examples.totals`. So cached values of a bucket are valid while that one is
the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from storage.aggregation.rollup import Breakdown, Bucket
from storage.mongo.database import Database
from storage.mongo.documents.rows import as_sent
from storage.mongo.indexes import ROLLUPS
from storage.queries.filters.time_ranges import TimeRange

_CACHED: Final = frozenset({Bucket.HOUR, Bucket.DAY})


def digest(data: bytes) -> bytes:
    """Return a digest for keys of caches, of the same size however many conditions or versions they are about."""
    return blake2b(data, digest_size=16).digest()


def digest_of(values: Mapping[str, Any]) -> bytes:
    """Return the digest of the conditions of a plan; the order of the fields makes no difference."""
    return digest(repr(sorted(values.items())).encode())


def parts(ranges: Iterable[TimeRange]) -> Iterator[TimeRange]:
    """Yield ranges; hours that end on another day are split before their last day, which still changes."""
    for one in ranges:
        last_day = Bucket.DAY.floor(one.end)
        if one.bucket is Bucket.HOUR and one.start < last_day < one.end:
            yield one._replace(end=last_day)
            yield one._replace(start=last_day)
        else:
            yield one


class Versions:
    """The versions of some days, in one snapshot, in order of time. What changes an hour changes its day."""

    def __init__(self, days: Iterable[tuple[datetime, bytes]]) -> None:
        self._days = sorted(days)

    def of(self, one: TimeRange) -> bytes | None:
        """One version for a whole range, made of those of its days; None of minutes, which are seldom queried twice."""
        if one.bucket not in _CACHED:
            return None
        first = Bucket.DAY.floor(one.start)
        # Versions of two days differ: the rollups have their `at`.
        return digest(b"".join([digest(sent) for at, sent in self._days if first <= at < one.end]))


async def read_versions(database: Database, ranges: Iterable[TimeRange], options: Mapping[str, Any]) -> Versions:
    """Read the versions of ranges, which may overlap, as of one moment. Whatever the driver raises passes."""
    day = Bucket.DAY
    days = dict.fromkeys(TimeRange(day, day.floor(one.start), one.end) for one in ranges if one.bucket in _CACHED)
    if not days:
        return Versions(())
    parts = [one.of(Breakdown.ALL) for one in days]
    cursor = as_sent(database.rollups).aggregate([{"$match": {"$or": parts}}], hint=dict(ROLLUPS), **options)
    return Versions([(one["at"], bytes(one.raw)) for one in await cursor.to_list(None)])
