"""The keys of indexes: queries use them as hints, and `storage.mongo.index_models` makes indexes of them."""

from __future__ import annotations

from typing import TypeAlias

from pymongo import ASCENDING, DESCENDING
from pymongo.collation import Collation, CollationStrength

ANY_CASE = Collation("en", strength=CollationStrength.SECONDARY)
"""How names of users and groups are compared and sorted: case makes no difference."""

Keys: TypeAlias = tuple[tuple[str, int], ...]


def ascending(*names: str) -> Keys:
    """Return keys of these fields, all in ascending order."""
    return tuple((name, ASCENDING) for name in names)


BY_ID: Keys = ascending("_id")
"""The index that every collection has."""

# A list is sorted by the first two keys. The others let a count, or a page of something rare, be answered from the
# index alone.
_NEWEST_FIRST: Keys = (("started_at", DESCENDING), ("_id", DESCENDING))
_FILTERED = ("status", "initiator_id", "provider", "provider_name", "model", "client")
_COVERED: Keys = ascending(*_FILTERED)

BY_TIME: Keys = (*_NEWEST_FIRST, *_COVERED)
BY_INITIATOR: Keys = (
    *(*ascending("initiator_id"), *_NEWEST_FIRST),
    *(key for key in _COVERED if key[0] != "initiator_id"),
)
# Rare calls are found by reading a few ranges of this index in parallel.
BY_COMBINATION: Keys = (
    *(*ascending("status", "provider_name", "model", "client"), *_NEWEST_FIRST),
    *ascending("provider"),
)
BY_REQUEST: Keys = (*ascending("request_ids"), *_NEWEST_FIRST)

# Of the calls that the prompt cache failed alone: what that cost is added up from the index.
BY_LOSS: Keys = ascending(
    *("started_at", "initiator_id", "provider_name", "model", "client", "provider", "api_key_id"),
    *("cache_loss.lost_tokens", "cache_loss.lost"),
)

BY_LINK: Keys = (*ascending("links"), *_NEWEST_FIRST)

# Whose texts are to be removed, and when next.
REMOVAL: Keys = ascending("removal_at", "_id")

_OLDEST_FIRST: Keys = ascending("started_at", "_id")
OF_SESSION: Keys = (*ascending("session_id", "root_id"), *_OLDEST_FIRST)

# Of sessions with more than one call alone, also by what their lists are narrowed and sorted: so these count and sort without
# looking at each session.
_SESSIONS_COVERED: Keys = ascending("initiator_id", "client", "interceptions")
_SESSIONS_SORTED: Keys = ascending("interceptions", "failures", "cost", "lost", "last_active_at")
SESSIONS_BY_TIME: Keys = (*_NEWEST_FIRST, *_SESSIONS_COVERED)
SESSIONS_WITH_FAILURES: Keys = (*_NEWEST_FIRST, *ascending("failures"), *_SESSIONS_COVERED)
SESSIONS_BY_INITIATOR: Keys = (*ascending("initiator_id"), *_NEWEST_FIRST, *ascending("client"), *_SESSIONS_SORTED)
SESSIONS_BY_CLIENT: Keys = (*ascending("client"), *_NEWEST_FIRST, *ascending("initiator_id"), *_SESSIONS_SORTED)
SESSIONS_BY_PROVIDER: Keys = (*ascending("providers"), *_NEWEST_FIRST, *_SESSIONS_COVERED)
SESSIONS_BY_PROVIDER_NAME: Keys = (
    *(*ascending("provider_names"), *_NEWEST_FIRST),
    *(*ascending("initiator_id", "client"), *_SESSIONS_SORTED),
)
SESSIONS_BY_MODEL: Keys = (
    *(*ascending("models"), *_NEWEST_FIRST),
    *(*ascending("initiator_id", "client"), *_SESSIONS_SORTED),
)
SESSIONS_BY_ACTIVITY: Keys = (("last_active_at", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_COST: Keys = (("cost", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_LOSS: Keys = (("lost", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_FAILURES: Keys = (("failures", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_CALLS: Keys = (("interceptions", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_NAME: Keys = (*ascending("session_ids"), *_NEWEST_FIRST, *ascending("initiator_id", "interceptions"))

_IN_COMMON: Keys = ascending("provider_name", "model", "client", "provider")
ROLLUPS: Keys = (*ascending("level", "bucket", "at", "initiator_id"), *_IN_COMMON)
ROLLUPS_BY_INITIATOR: Keys = (*ascending("level", "bucket", "initiator_id", "at"), *_IN_COMMON)
BY_TOKEN: Keys = ascending("level", "bucket", "at", "api_key_id")
"""To find the rollups of some tokens."""

TAGGED: Keys = ascending(
    *("level", "bucket", "tag", "tag_value", "at"),
    *("initiator_id", "provider_name", "model", "provider"),
)
"""To find what calls with values of a tag add up to."""

AUDIT_BY_TIME: Keys = (("at", DESCENDING), ("_id", DESCENDING))
AUDIT_BY_ACTION: Keys = (*ascending("action"), *AUDIT_BY_TIME)
AUDIT_BY_ACTOR: Keys = (*ascending("actor.username"), *AUDIT_BY_TIME)
AUDIT_BY_SUBJECT: Keys = (*ascending("subject.username"), *AUDIT_BY_TIME)

_REFUSAL: Keys = (("at", DESCENDING), ("_id", DESCENDING))
_REFUSAL_COVERED: Keys = ascending("rule", "status", "provider", "route", "api_key_id")
REFUSALS_BY_TIME: Keys = (*_REFUSAL, *ascending("initiator_id"), *_REFUSAL_COVERED)
REFUSALS_BY_INITIATOR: Keys = (*ascending("initiator_id"), *_REFUSAL, *_REFUSAL_COVERED)
REFUSALS_BY_REQUEST: Keys = ascending("request_ids")
REFUSED_BY_TIME: Keys = ascending("bucket", "at", "initiator_id", "rule", "count")
REFUSED_BY_INITIATOR: Keys = ascending("initiator_id", "bucket", "at", "rule", "count")
