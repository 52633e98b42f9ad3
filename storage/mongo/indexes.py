"""All indexes of the database but those of retention: their keys, which queries use as hints, and how they are made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeAlias

import pymongo
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collation import Collation, CollationStrength
from pymongo.errors import OperationFailure

from storage.mongo.errors import INDEX_DIFFERS, DatabaseUnavailableError
from storage.mongo.retention import set_retention

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
# Rare calls stand side by side in it: the database skips the combinations that do not match.
BY_COMBINATION: Keys = (*ascending("status", "provider", "provider_name", "model", "client"), *_NEWEST_FIRST)
BY_REQUEST: Keys = (*ascending("request_ids"), *_NEWEST_FIRST)

BY_LINK: Keys = (*ascending("links"), *_NEWEST_FIRST)

# Whose texts are to be removed, and when next.
REMOVAL: Keys = ascending("removal_at", "_id")

_OLDEST_FIRST: Keys = ascending("started_at", "_id")
OF_SESSION: Keys = (*ascending("session_id", "root_id"), *_OLDEST_FIRST)

# Of sessions with more than one call alone, also by what their lists are narrowed and sorted: so these count and sort without
# looking at each session.
_SESSIONS_COVERED: Keys = ascending("initiator_id", "client", "interceptions")
_SESSIONS_SORTED: Keys = ascending("failures", "cost", "lost", "last_active_at")


def _sorted_sessions_of(field: str) -> Keys:
    covered = [key for key in _SESSIONS_COVERED if key[0] != field]
    return (*ascending(field), *_NEWEST_FIRST, *covered, *_SESSIONS_SORTED)


SESSIONS_BY_TIME: Keys = (*_NEWEST_FIRST, *_SESSIONS_COVERED)
SESSIONS_WITH_FAILURES: Keys = (*_NEWEST_FIRST, *_SESSIONS_COVERED, *_SESSIONS_SORTED)
SESSIONS_BY_INITIATOR: Keys = _sorted_sessions_of("initiator_id")
SESSIONS_BY_CLIENT: Keys = _sorted_sessions_of("client")
SESSIONS_BY_PROVIDER: Keys = _sorted_sessions_of("providers")
SESSIONS_BY_PROVIDER_NAME: Keys = _sorted_sessions_of("provider_names")
SESSIONS_BY_MODEL: Keys = _sorted_sessions_of("models")
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

CLIENT_EVENTS: Keys = ascending("initiator_id", "session_id", "at")


_THERE = {"$exists": True}
_SEVERAL = {"interceptions": {"$gt": 1}}
_EXPIRY = IndexModel("expires_at", name="expiry", expireAfterSeconds=0)
_EXPIRY_OF_SOME = IndexModel(
    "expires_at", name="expiry", expireAfterSeconds=0, partialFilterExpression={"expires_at": {"$exists": True}}
)


def _of_some(keys: Keys | str, name: str, condition: Mapping[str, Any]) -> IndexModel:
    """An index of the documents that match a condition."""
    return IndexModel(keys, name=name, partialFilterExpression=condition)


def _of_those_with(keys: Keys, name: str, field: str = "") -> IndexModel:
    """An index of the documents that have a field, of the same name where that is not given."""
    return _of_some(keys, name, {field or name: _THERE})


def _of_several(keys: Keys, name: str) -> IndexModel:
    """An index of the sessions with more than one call."""
    return _of_some(keys, name, _SEVERAL)


def _of_active_names(field: str, name: str) -> IndexModel:
    """An index of the names of those that were not removed, each of which there is once, in whatever case."""
    active = {"removed_at": None}
    return IndexModel(field, name=name, unique=True, partialFilterExpression=active, collation=ANY_CASE)


INDEXES: Mapping[str, tuple[IndexModel, ...]] = MappingProxyType(
    {
        # What each is for, and roughly what it costs MongoDB for a call in it: microseconds of processor, the median of three
        # times 20,000 calls on a busy machine. They say which are dear; differences of less than 10 say nothing.
        "interceptions": (
            # The list of calls, its counts, and exports: 4.
            IndexModel(BY_TIME, name="by_time"),
            # The list and counts of one user, which is all that members see: 16.
            IndexModel(BY_INITIATOR, name="by_initiator"),
            # Counts of calls of a model or client, the list of calls in flight, and those that dead processes left: 8.
            IndexModel(BY_COMBINATION, name="by_combination"),
            # The call with the id that a client or provider reports, and what goes on with a stored response: 16.
            IndexModel(BY_REQUEST, name="by_request"),
            # The calls of a client's session; for the job earlier calls, and failed ones that are repeated: 22, with 3 links.
            _of_those_with(BY_LINK, "by_link", "links"),
            # The calls whose texts are due to be removed: 4, nothing where texts are kept.
            _of_those_with(REMOVAL, "removal", "removal_at"),
            # The page of a session, oldest call first: 8.
            _of_those_with(OF_SESSION, "of_session", "session_id"),
        ),
        "rollups": (
            IndexModel(ROLLUPS, name="cell"),
            IndexModel(ROLLUPS_BY_INITIATOR, name="by_initiator"),
            _of_some(BY_TOKEN, "by_token", {"level": "token"}),
            _of_those_with(TAGGED, "tagged", "tag"),
        ),
        # Those with a single call are in no list: they cost no entry.
        "sessions": (
            _of_several(SESSIONS_BY_TIME, "by_time"),
            _of_some(SESSIONS_WITH_FAILURES, "with_failures", {"failures": {"$gt": 0}, **_SEVERAL}),
            _of_several(SESSIONS_BY_INITIATOR, "of_initiator"),
            _of_several(SESSIONS_BY_CLIENT, "of_client"),
            _of_several(SESSIONS_BY_PROVIDER, "by_provider"),
            _of_several(SESSIONS_BY_PROVIDER_NAME, "of_provider_name"),
            _of_several(SESSIONS_BY_MODEL, "of_model"),
            _of_several(SESSIONS_BY_NAME, "by_name"),
            _of_several(SESSIONS_BY_ACTIVITY, "by_activity"),
            _of_several(SESSIONS_BY_COST, "by_cost"),
            _of_several(SESSIONS_BY_LOSS, "by_loss"),
            _of_several(SESSIONS_BY_FAILURES, "by_failures"),
            _of_several(SESSIONS_BY_CALLS, "by_calls"),
        ),
        "cache_lines": (_EXPIRY,),
        "users": (
            _of_active_names("username", "active_username"),
            IndexModel(
                ascending("group_ids", "username"),
                name="by_group",
                partialFilterExpression={"group_ids": {"$exists": True}},
                collation=ANY_CASE,
            ),
            _of_those_with(ascending("openid.issuer", "openid.subject"), "by_subject", "openid.subject"),
        ),
        "groups": (_of_active_names("name", "active_name"),),
        "recosts": (
            IndexModel(  # one at a time
                "schema_version",
                name="active",
                unique=True,
                partialFilterExpression={"state": {"$in": ["waiting", "running"]}},
            ),
        ),
        "providers": (IndexModel("name", name="name", unique=True),),
        "tokens": (
            IndexModel(ascending("user_id", "created_at"), name="by_user"),
            IndexModel((("created_at", DESCENDING), ("_id", DESCENDING)), name="by_time"),
        ),
        "token_uses": (IndexModel((("user_id", ASCENDING), ("at", DESCENDING)), name="by_user"),),
        "sign_in_sessions": (
            IndexModel((("user_id", ASCENDING), ("last_used_at", DESCENDING)), name="by_user"),
            _EXPIRY,
        ),
        "sign_in_codes": (_EXPIRY,),
        "device_codes": (
            IndexModel("user_code", name="by_user_code", unique=True),
            _EXPIRY,
        ),
        "views": (
            IndexModel(ascending("user_id", "name"), name="name_of_user", unique=True, collation=ANY_CASE),
            IndexModel(
                ascending("shared", "name"),
                name="shared",
                partialFilterExpression={"shared": True},
                collation=ANY_CASE,
            ),
        ),
        "audit": (
            IndexModel(AUDIT_BY_TIME, name="by_time"),
            IndexModel(AUDIT_BY_ACTION, name="by_action"),
            IndexModel(AUDIT_BY_ACTOR, name="by_actor"),
            IndexModel(AUDIT_BY_SUBJECT, name="by_subject"),
            _EXPIRY_OF_SOME,
        ),
        "refusals": (
            IndexModel(REFUSALS_BY_TIME, name="by_time"),
            IndexModel(REFUSALS_BY_INITIATOR, name="by_initiator"),
            IndexModel(REFUSALS_BY_REQUEST, name="by_request", sparse=True),
        ),
        "client_events": (IndexModel(CLIENT_EVENTS, name="of_session"),),
        "webhook_deliveries": (
            _of_some("next_at", "due", {"state": "waiting"}),
            IndexModel([("webhook_id", ASCENDING), ("created_at", DESCENDING)], name="by_webhook"),
            _EXPIRY,
        ),
        "alerts": (_EXPIRY,),
        "limit_ledgers": (_EXPIRY,),
    }
)
"""All indexes, by collection, without those of `storage.mongo.retention`."""


INDEX_SECONDS = 3_600.0
"""How long one index may take that is made of many records."""

_LONG_SECONDS = 5.0

# A page reads them as of one moment with others. MongoDB refuses that for some milliseconds after a collection was made, so
# the first write does not make it.
_WITHOUT_INDEXES = ("derived",)

_NAMESPACE_EXISTS = 48
_KEYS_DIFFER = 86  # IndexKeySpecsConflict

_log = logging.getLogger(__name__)


async def make_indexes(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Create missing collections and indexes, and set how long documents are kept; None keeps them forever."""
    with pymongo.timeout(INDEX_SECONDS), _log_if_slow():
        await asyncio.gather(
            *[make_indexes_of(database, name) for name in INDEXES],
            *[_make(database, name) for name in _WITHOUT_INDEXES],
        )
        await set_retention(database, retention)


async def _make(database: AsyncIOMotorDatabase[dict[str, Any]], name: str) -> None:
    try:
        await database.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise


async def make_indexes_of(database: AsyncIOMotorDatabase[dict[str, Any]], name: str) -> None:
    """Create the missing indexes of a collection.

    Raises:
        DatabaseUnavailableError: It has another index of one of these names, so something else has written to it.
    """
    try:
        await database[name].create_indexes(list(INDEXES[name]))
    except OperationFailure as error:
        if error.code not in {INDEX_DIFFERS, _KEYS_DIFFER}:
            raise
        text = f"the collection {name} of the database {database.name} has indexes that are not of this version of AI Bridge"
        raise DatabaseUnavailableError(f"{text}: name another database, or remove this one") from error


@contextlib.contextmanager
def _log_if_slow() -> Iterator[None]:
    """Log a line if it takes long."""
    late = asyncio.get_running_loop().call_later(
        _LONG_SECONDS, _log.info, "creating indexes; calls are served afterwards"
    )
    try:
        yield
    finally:
        late.cancel()
