"""Records refusals: a row for equal ones of a minute, with their number.

A refused request waits for nothing. Only so many rows are made in a minute, and wait for the database: what is beyond them has
no user, token, address or route, but is counted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from intercept.refusals import Refusal
from storage.derived.rollup import Bucket
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.event_counts import Count, CountDocument, DistinctEvents, EventCounts, event_id

MAX_KNOWN_ROWS = 1_000
"""Rows about known users that a process makes in a minute."""

MAX_UNKNOWN_ROWS = 100
"""Rows of a minute about requests without a valid token, so that a storm of these hides no user's refusal."""

MAX_PENDING_ROWS = 5_000
"""The maximum number of rows that wait for the database. Further refusals of an hour are counted by rule."""


class RefusalRecorder(EventCounts[tuple[datetime, Refusal]]):
    """Counts refusals, and writes rows in the background."""

    def __init__(self, database: Database, *, now: Now) -> None:
        super().__init__(database, "refusals", database.refusals, _row)
        self._now = now
        self._distinct = DistinctEvents()

    def note(self, refusal: Refusal) -> None:
        """Count a refusal. Returns at once."""
        now = self._now()
        said = {"message": refusal.message, "retry_after_ms": refusal.retry_after_ms}
        at, kind, known = now.replace(second=0, microsecond=0), refusal.kind, refusal.initiator_id is not None
        if (at, kind) not in self and len(self) >= MAX_PENDING_ROWS:
            at, kind = Bucket.HOUR.floor(now), refusal.anonymous()
        elif not self._distinct.admit(int(at.timestamp()), known, kind, MAX_KNOWN_ROWS if known else MAX_UNKNOWN_ROWS):
            kind = refusal.anonymous()
        self.add((at, kind), now, said, refusal.request_id)


def _row(key: tuple[datetime, Refusal], count: Count) -> CountDocument:
    minute, refusal = key
    caller = str(refusal.initiator_id), refusal.api_key_id, refusal.client_ip
    details = refusal.provider, refusal.route, refusal.model, refusal.method, refusal.path
    fields: dict[str, Any] = {
        "schema_version": 1,
        "at": count.first_at,
        "initiator_id": refusal.initiator_id,
        "api_key_id": refusal.api_key_id,
        "client_ip": refusal.client_ip,
        "method": refusal.method,
        "path": refusal.path,
        "provider": refusal.provider,
        "route": refusal.route,
        "model": refusal.model,
        "status": refusal.status,
        "rule": refusal.rule.value,
        **count.first,
    }
    if refusal.policy is not None:
        fields["policy"] = refusal.policy
    if refusal.shadow:
        fields["shadow"] = True
    decided = (refusal.policy or "", refusal.shadow) if refusal.policy or refusal.shadow else ()
    return CountDocument(
        event_id(minute, refusal.rule, refusal.status, caller, details, *decided), fields, path="count"
    )
