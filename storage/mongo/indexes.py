"""The keys of indexes: queries use them as hints, and `storage.mongo.index_models` makes indexes of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from pymongo import ASCENDING, DESCENDING
from pymongo.collation import Collation, CollationStrength

ANY_CASE = Collation("en", strength=CollationStrength.SECONDARY)
"""How names of users and groups are compared and sorted: case makes no difference."""

Keys: TypeAlias = tuple[tuple[str, int], ...]

BY_ID: Keys = (("_id", ASCENDING),)
"""The index that every collection has."""

# A list is sorted by the first two keys. The others let a count, or a page of something rare, be answered from the
# index alone.
_NEWEST_FIRST: Keys = (("started_at", DESCENDING), ("_id", DESCENDING))
_FILTERED = ("status", "initiator_id", "provider", "provider_name", "model", "client")
_COVERED: Keys = tuple((name, ASCENDING) for name in _FILTERED)

BY_TIME: Keys = (*_NEWEST_FIRST, *_COVERED)
BY_INITIATOR: Keys = (
    ("initiator_id", ASCENDING),
    *_NEWEST_FIRST,
    *(key for key in _COVERED if key[0] != "initiator_id"),
)
# Rare calls are found by reading a few ranges of this index in parallel.
BY_COMBINATION: Keys = (
    *((name, ASCENDING) for name in ("status", "provider_name", "model", "client")),
    *_NEWEST_FIRST,
    ("provider", ASCENDING),
)
BY_SESSION: Keys = (("client_session_id", ASCENDING), *_NEWEST_FIRST, ("status", ASCENDING))
BY_REQUEST: Keys = (("request_ids", ASCENDING), *_NEWEST_FIRST)
IN_FLIGHT_BY_TIME: Keys = (*_NEWEST_FIRST, *(key for key in _COVERED if key[0] != "status"))

# Of the calls that the prompt cache failed alone: what that cost is added up from the index.
BY_LOSS: Keys = tuple(
    (name, ASCENDING)
    for name in (
        *("started_at", "initiator_id", "provider_name", "model", "client", "provider", "api_key_id"),
        *("cache_loss.lost_tokens", "cache_loss.lost"),
    )
)

# Of a call that ended all that limits count, to read millions of them from the index alone.
CHARGED: Keys = tuple((name, ASCENDING) for name in ("started_at", "_id", "initiator_id", "charged"))
# Those without, whose ends are presumed, or of an earlier version.
UNCHARGED: Keys = (("started_at", ASCENDING), ("_id", ASCENDING))

BY_TOOL_CALL: Keys = (("initiator_id", ASCENDING), ("tool_call_ids", ASCENDING), *_NEWEST_FIRST)
BY_CONVERSATION: Keys = (("initiator_id", ASCENDING), ("conversation", ASCENDING), *_NEWEST_FIRST)
UNLINKED: Keys = (("unlinked.due", ASCENDING), ("started_at", ASCENDING))

# Failed calls alone, for who repeats them.
BY_FINGERPRINT: Keys = (("fingerprint", ASCENDING), ("ended_at", ASCENDING))

# Whose texts are to be removed, and when.
TEXTS_UNTIL: Keys = (("texts_until", ASCENDING), ("_id", ASCENDING))
RESPONSE_UNTIL: Keys = (("response_until", ASCENDING), ("_id", ASCENDING))

# What waits to be counted, and to be given to a session: oldest first.
UNCOUNTED: Keys = (("uncounted", ASCENDING), ("_id", ASCENDING))
UNGROUPED: Keys = (("ungrouped", ASCENDING), ("_id", ASCENDING))
UNINDEXED: Keys = (("unindexed", ASCENDING), ("_id", ASCENDING))
FIRST_SCHEMA: Keys = (("status", ASCENDING), ("_id", ASCENDING))

_OLDEST_FIRST: Keys = (("started_at", ASCENDING), ("_id", ASCENDING))
OF_SESSION: Keys = (("session_id", ASCENDING), *_OLDEST_FIRST)
# Of thousands of calls in which session each is, to read none of them.
SESSION_OF: Keys = (("_id", ASCENDING), ("session_id", ASCENDING))
OF_THREAD: Keys = (("root_id", ASCENDING), *_OLDEST_FIRST)

_SESSIONS_COVERED: Keys = (("initiator_id", ASCENDING), ("client", ASCENDING))
SESSIONS_BY_TIME: Keys = (*_NEWEST_FIRST, *_SESSIONS_COVERED)
SESSIONS_WITH_FAILURES: Keys = (*_NEWEST_FIRST, ("failures", ASCENDING), *_SESSIONS_COVERED)
SESSIONS_OF_SEVERAL: Keys = (*_NEWEST_FIRST, ("interceptions", ASCENDING), *_SESSIONS_COVERED)
# Also by what lists of sessions are narrowed and sorted, so that these count and sort without looking at each session.
_SESSIONS_SORTED: Keys = tuple(
    (name, ASCENDING) for name in ("interceptions", "failures", "cost", "lost", "last_active_at")
)
SESSIONS_BY_INITIATOR: Keys = (
    *(("initiator_id", ASCENDING), *_NEWEST_FIRST),
    *(("client", ASCENDING), *_SESSIONS_SORTED),
)
SESSIONS_BY_CLIENT: Keys = (("client", ASCENDING), *_NEWEST_FIRST, ("initiator_id", ASCENDING), *_SESSIONS_SORTED)
SESSIONS_BY_PROVIDER: Keys = (("providers", ASCENDING), *_NEWEST_FIRST, *_SESSIONS_COVERED)
SESSIONS_BY_PROVIDER_NAME: Keys = (
    *(("provider_names", ASCENDING), *_NEWEST_FIRST),
    *(*_SESSIONS_COVERED, *_SESSIONS_SORTED),
)
SESSIONS_BY_MODEL: Keys = (("models", ASCENDING), *_NEWEST_FIRST, *_SESSIONS_COVERED, *_SESSIONS_SORTED)
# Most sessions of a model have one call, and the page folds these away. A hint tells two indexes apart by their keys alone, so these
# are in another order.
SESSIONS_OF_SEVERAL_BY_MODEL: Keys = (
    *(("models", ASCENDING), *_NEWEST_FIRST),
    *(("client", ASCENDING), ("initiator_id", ASCENDING), *_SESSIONS_SORTED),
)
SESSIONS_BY_ACTIVITY: Keys = (("last_active_at", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_COST: Keys = (("cost", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_LOSS: Keys = (("lost", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_FAILURES: Keys = (("failures", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_CALLS: Keys = (("interceptions", DESCENDING), ("_id", DESCENDING))
SESSIONS_BY_NAME: Keys = (("session_ids", ASCENDING), *_NEWEST_FIRST, ("initiator_id", ASCENDING))

_IN_COMMON: Keys = tuple((name, ASCENDING) for name in ("provider_name", "model", "client", "provider"))
ROLLUPS: Keys = (
    *(("level", ASCENDING), ("bucket", ASCENDING), ("at", ASCENDING), ("initiator_id", ASCENDING)),
    *_IN_COMMON,
)
ROLLUPS_BY_INITIATOR: Keys = (
    *(("level", ASCENDING), ("bucket", ASCENDING), ("initiator_id", ASCENDING), ("at", ASCENDING)),
    *_IN_COMMON,
)
BUSIEST: Keys = (
    *(("level", ASCENDING), ("bucket", ASCENDING), ("at", ASCENDING), ("initiator_id", ASCENDING)),
    ("interceptions", ASCENDING),
)
"""To find the busiest of many users, from the index alone."""

BUSIEST_TOKENS: Keys = (
    *(("level", ASCENDING), ("bucket", ASCENDING), ("at", ASCENDING), ("api_key_id", ASCENDING)),
    ("interceptions", ASCENDING),
)
"""The same of tokens; and to find the rollups of some."""

_SPENT: Keys = tuple(
    (name, ASCENDING)
    for name in (
        *("interceptions", "failed", "cost", "input_tokens", "output_tokens"),
        *("cache_read_input_tokens", "cache_write_input_tokens"),
    )
)
SPENDERS: Keys = (*ROLLUPS, *_SPENT)
"""To find who spends most on what, of days, from the index alone."""

SPENDING_TOKENS: Keys = (*BUSIEST_TOKENS[:4], *_SPENT)
"""To find which tokens spend most, of days, from the index alone."""

TAGGED: Keys = tuple(
    (name, ASCENDING)
    for name in ("level", "bucket", "tag", "tag_value", "at", "initiator_id", "provider_name", "model", "provider")
)
"""To find what calls with values of a tag add up to."""

NAMES: Mapping[str, Keys] = MappingProxyType(
    {
        level: (("level", ASCENDING), ("bucket", ASCENDING), (name, ASCENDING))
        for level, name in (("model", "model"), ("client", "client"), ("provider", "provider_name"), ("tag", "tag"))
    }
)
"""Of the day rollups of these breakdowns, to find each name once."""

AUDIT_BY_TIME: Keys = (("at", DESCENDING), ("_id", DESCENDING))

_REFUSAL: Keys = (("at", DESCENDING), ("_id", DESCENDING))
_REFUSAL_COVERED: Keys = tuple((name, ASCENDING) for name in ("rule", "status", "provider", "route", "api_key_id"))
REFUSALS_BY_TIME: Keys = (*_REFUSAL, ("initiator_id", ASCENDING), *_REFUSAL_COVERED)
REFUSALS_BY_INITIATOR: Keys = (("initiator_id", ASCENDING), *_REFUSAL, *_REFUSAL_COVERED)
_REFUSED: Keys = (("rule", ASCENDING), ("count", ASCENDING))
REFUSED_BY_TIME: Keys = (("bucket", ASCENDING), ("at", ASCENDING), ("initiator_id", ASCENDING), *_REFUSED)
REFUSED_BY_INITIATOR: Keys = (("initiator_id", ASCENDING), ("bucket", ASCENDING), ("at", ASCENDING), *_REFUSED)
