"""Which rollups are as they were: those of everyone, by bucket.

Whatever changes rollups of a bucket changes that of everyone there in the same transaction, see
`storage.aggregation.rollup_job` and `storage.examples.totals`. So what is known of a bucket is right while that one is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from storage.aggregation.rollup import Breakdown, Bucket
from storage.mongo.database import Database
from storage.mongo.indexes import ROLLUPS
from storage.mongo.rows import as_sent
from storage.queries.filters.time_ranges import TimeRange

Place = tuple[str, datetime]
"""A bucket: how long it is, and when it begins."""

BUCKETS: Final = frozenset({Bucket.HOUR, Bucket.DAY})
"""What rollups are remembered of. Minutes are many, and seldom asked for twice."""

_BYTES: Final = 16


class Versions:
    """The rollups of everyone in some ranges, as of one moment.

    Args:
        known: Each bucket that has one, and the one as MongoDB sent it.
    """

    def __init__(self, known: Mapping[Place, bytes]) -> None:
        self._known: dict[str, list[tuple[datetime, bytes]]] = {bucket.value: [] for bucket in BUCKETS}
        for bucket, at in sorted(known):
            sent = known[bucket, at]
            self._known[bucket].append((at, blake2b(sent, digest_size=_BYTES).digest()))

    def of(self, ranges: Iterable[TimeRange]) -> dict[Place, bytes]:
        """The version of each bucket of ranges that were read: where there is none, nobody has any rollup."""
        found: dict[Place, bytes] = {}
        for bucket, start, end in ranges:
            if bucket in BUCKETS and bucket is not None:
                found |= {(bucket, at): version for at, version in self._known[bucket] if start <= at < end}
        return found

    def of_all(self, one: TimeRange) -> bytes | None:
        """The version of a range as one; None where it is not told by such buckets."""
        if one.bucket not in BUCKETS:
            return None
        digest = blake2b(digest_size=_BYTES)
        for (_, at), version in self.of([one]).items():
            digest.update(at.isoformat().encode())
            digest.update(version)
        return digest.digest()


async def read_versions(database: Database, ranges: Iterable[TimeRange], options: Mapping[str, Any]) -> Versions:
    """Read the versions of ranges. Whatever the driver raises passes.

    Args:
        database: Where the rollups are.
        ranges: Which ones; they may overlap.
        options: Of an aggregation, to read as of one moment.
    """
    parts = [
        {"level": Breakdown.ALL.value, "bucket": one.bucket, "at": {"$gte": one.start, "$lt": one.end}}
        for one in dict.fromkeys(ranges)
        if one.bucket in BUCKETS
    ]
    if not parts:
        return Versions({})
    cursor = as_sent(database.rollups).aggregate([{"$match": {"$or": parts}}], hint=dict(ROLLUPS), **options)
    return Versions({(one["bucket"], one["at"]): bytes(one.raw) for one in await cursor.to_list(None)})
