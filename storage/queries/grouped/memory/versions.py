"""Versions of rollups: the rollup of all users, by bucket.

Every change of rollups of a bucket changes its rollup of all users in the same transaction, see
`storage.aggregation.rollup_job` and `storage.examples.totals`. So cached values of a bucket are valid while that one is
the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from storage.aggregation.rollup import Breakdown, Bucket
from storage.mongo.database import Database
from storage.mongo.documents.rows import as_sent
from storage.mongo.indexes import ROLLUPS
from storage.queries.filters.time_ranges import TimeRange

BucketKey = tuple[str, datetime]
"""The key of a bucket: its length and its start."""

BUCKETS: Final = frozenset({Bucket.HOUR, Bucket.DAY})
"""The buckets that are cached. Minutes are many, and seldom queried twice."""


def digest(data: bytes) -> bytes:
    """Return a digest for keys of caches, of the same size however many conditions or versions they are about."""
    return blake2b(data, digest_size=16).digest()


def digest_of(values: Mapping[str, Any]) -> bytes:
    """Return the digest of the conditions of a plan; the order of the fields makes no difference."""
    return digest(repr(sorted(values.items())).encode())


class Versions:
    """The rollups of all users in some ranges, in one snapshot.

    Args:
        known: By bucket, the rollup as MongoDB sent it.
    """

    def __init__(self, known: Mapping[BucketKey, bytes]) -> None:
        self._known: dict[str, list[tuple[datetime, bytes]]] = {bucket.value: [] for bucket in BUCKETS}
        for bucket, at in sorted(known):
            sent = known[bucket, at]
            self._known[bucket].append((at, digest(sent)))

    def of(self, ranges: Iterable[TimeRange]) -> dict[BucketKey, bytes]:
        """The version of each bucket of ranges; a bucket without one has no rollups."""
        found: dict[BucketKey, bytes] = {}
        for bucket, start, end in ranges:
            if bucket in BUCKETS and bucket is not None:
                found |= {(bucket, at): version for at, version in self._known[bucket] if start <= at < end}
        return found

    def of_all(self, one: TimeRange) -> bytes | None:
        """One version for a whole range, made of those of its days; None if it has other buckets."""
        if one.bucket not in BUCKETS:
            return None
        # Versions of two days differ: the rollups have their `at`.
        return digest(b"".join(self.of([days_of(one)]).values()))


def days_of(one: TimeRange) -> TimeRange:
    """The days that a range touches: what changes an hour changes its day."""
    return TimeRange(Bucket.DAY, Bucket.DAY.floor(one.start), one.end)


async def read_versions(database: Database, ranges: Iterable[TimeRange], options: Mapping[str, Any]) -> Versions:
    """Read the versions of ranges, which may overlap, as of one moment. Whatever the driver raises passes."""
    parts = [
        {"level": Breakdown.ALL.value, "bucket": one.bucket, "at": {"$gte": one.start, "$lt": one.end}}
        for one in dict.fromkeys(ranges)
        if one.bucket in BUCKETS
    ]
    if not parts:
        return Versions({})
    cursor = as_sent(database.rollups).aggregate([{"$match": {"$or": parts}}], hint=dict(ROLLUPS), **options)
    return Versions({(one["bucket"], one["at"]): bytes(one.raw) for one in await cursor.to_list(None)})
