"""Records refusals: a row for each kind of refusal in a minute, and totals of all.

A refused request waits for nothing. Equal refusals of a minute are one row with a count, and only so many rows are
made in a minute: what is beyond them has no token, address or route, but is counted. The totals leave nothing out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from intercept.refusals import Refusal
from storage.derived.rollup import MINUTES_KEPT, Bucket
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.event_counts import Count, CountDocument, CountWriter, DistinctEvents, EventCounts, event_id

MAX_KNOWN_ROWS = 1_000
"""Rows about known users that a process makes in a minute."""

MAX_UNKNOWN_ROWS = 100
"""Rows of a minute about requests without a valid token, so that a storm of these hides no user's refusal."""

MAX_PENDING_ROWS = 5_000
"""The maximum number of rows that wait for the database. Further refusals get no row."""

MAX_PENDING_TOTALS = 20_000
"""The maximum number of totals that wait for the database. Further refusals are counted by rule and hour, without the
user."""


SHADOW: Final = "shadow:"
"""Before the rule of totals of what would have been refused."""


class Total(NamedTuple):
    """The key of a total: a time range, a rule and a user, who may be unknown.

    The rule is text: those that only count have `SHADOW` before it, so that the indexes of totals have all of it.
    """

    bucket: Bucket
    at: datetime
    rule: str
    initiator_id: UUID | None


class RefusalRecorder(CountWriter):
    """Counts refusals, and writes rows and totals in the background."""

    def __init__(self, database: Database, *, now: Now) -> None:
        self._rows: EventCounts[tuple[datetime, Refusal]] = EventCounts(database, database.refusals, _row)
        self._totals: EventCounts[Total] = EventCounts(database, database.refusal_totals, _total)
        super().__init__(database, "refusals", [self._totals, self._rows])
        self._now = now
        self._distinct = DistinctEvents()

    @property
    def waiting(self) -> int:
        """How many rows and totals wait in memory."""
        return len(self._rows) + len(self._totals)

    def note(self, refusal: Refusal) -> None:
        """Count a refusal. Returns at once."""
        now = self._now()
        for bucket in Bucket:
            self._totals.add(self._total(bucket, now, refusal), now)
        minute = Bucket.MINUTE.floor(now)
        kind, known = refusal.kind, refusal.initiator_id is not None
        most = MAX_KNOWN_ROWS if known else MAX_UNKNOWN_ROWS
        if not self._distinct.admit(int(minute.timestamp()), known, kind, most):
            refusal = kind = refusal.anonymous()
        key = minute, kind
        if key in self._rows or len(self._rows) < MAX_PENDING_ROWS:
            said = {"message": refusal.message, "retry_after_ms": refusal.retry_after_ms}
            self._rows.add(key, now, said, refusal.request_id)

    def _total(self, bucket: Bucket, now: datetime, refusal: Refusal) -> Total:
        """Return the total that a refusal adds to."""
        rule = f"{SHADOW if refusal.shadow else ''}{refusal.rule}"
        total = Total(bucket, bucket.floor(now), rule, refusal.initiator_id)
        if total in self._totals or len(self._totals) < MAX_PENDING_TOTALS:
            return total
        longer = max(bucket.length, Bucket.HOUR.length)
        return Total(bucket, next(one for one in Bucket if one.length == longer).floor(now), rule, None)


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


def _total(total: Total, _count: Count) -> CountDocument:
    bucket, at, rule, initiator_id = total
    fields = {"bucket": bucket.value, "at": at, "rule": rule, "initiator_id": initiator_id}
    if bucket is Bucket.MINUTE:
        fields["expires_at"] = at + MINUTES_KEPT
    return CountDocument(event_id(bucket, at, rule, str(initiator_id)), fields, path="count")
