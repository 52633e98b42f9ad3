"""All indexes of the database by collection; `storage.mongo.index_creation` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from storage.mongo import indexes
from storage.mongo.indexes import ANY_CASE, Keys, ascending

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
            IndexModel(indexes.BY_TIME, name="by_time"),
            # The list and counts of one user, which is all that members see: 16.
            IndexModel(indexes.BY_INITIATOR, name="by_initiator"),
            # Counts of calls of a model or client, the list of calls in flight, and those that dead processes left: 8.
            IndexModel(indexes.BY_COMBINATION, name="by_combination"),
            # The call with the id that a client or provider reports, and what goes on with a stored response: 16.
            IndexModel(indexes.BY_REQUEST, name="by_request"),
            # What the prompt cache lost, by day, user or model: 3, of the calls that lost something alone.
            _of_some(indexes.BY_LOSS, "by_loss", {"cache_loss.lost_tokens": {"$gt": 0}}),
            # The calls of a client's session; for the job earlier calls, and failed ones that are repeated: 22, with 3 links.
            _of_those_with(indexes.BY_LINK, "by_link", "links"),
            # The calls whose texts are due to be removed: 4, nothing where texts are kept.
            _of_those_with(indexes.REMOVAL, "removal", "removal_at"),
            # The page of a session, oldest call first: 8.
            _of_those_with(indexes.OF_SESSION, "of_session", "session_id"),
        ),
        "rollups": (
            IndexModel(indexes.ROLLUPS, name="cell"),
            IndexModel(indexes.ROLLUPS_BY_INITIATOR, name="by_initiator"),
            _of_some(indexes.BY_TOKEN, "by_token", {"level": "token"}),
            _of_those_with(indexes.TAGGED, "tagged", "tag"),
            _EXPIRY_OF_SOME,
        ),
        # Those with a single call are in no list: they cost no entry.
        "sessions": (
            _of_several(indexes.SESSIONS_BY_TIME, "by_time"),
            _of_some(indexes.SESSIONS_WITH_FAILURES, "with_failures", {"failures": {"$gt": 0}, **_SEVERAL}),
            _of_several(indexes.SESSIONS_BY_INITIATOR, "of_initiator"),
            _of_several(indexes.SESSIONS_BY_CLIENT, "of_client"),
            _of_several(indexes.SESSIONS_BY_PROVIDER, "by_provider"),
            _of_several(indexes.SESSIONS_BY_PROVIDER_NAME, "of_provider_name"),
            _of_several(indexes.SESSIONS_BY_MODEL, "of_model"),
            _of_several(indexes.SESSIONS_BY_NAME, "by_name"),
            _of_several(indexes.SESSIONS_BY_ACTIVITY, "by_activity"),
            _of_several(indexes.SESSIONS_BY_COST, "by_cost"),
            _of_several(indexes.SESSIONS_BY_LOSS, "by_loss"),
            _of_several(indexes.SESSIONS_BY_FAILURES, "by_failures"),
            _of_several(indexes.SESSIONS_BY_CALLS, "by_calls"),
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
            IndexModel(indexes.AUDIT_BY_TIME, name="by_time"),
            IndexModel(indexes.AUDIT_BY_ACTION, name="by_action"),
            IndexModel(indexes.AUDIT_BY_ACTOR, name="by_actor"),
            IndexModel(indexes.AUDIT_BY_SUBJECT, name="by_subject"),
            _EXPIRY_OF_SOME,
        ),
        "refusals": (
            IndexModel(indexes.REFUSALS_BY_TIME, name="by_time"),
            IndexModel(indexes.REFUSALS_BY_INITIATOR, name="by_initiator"),
            IndexModel(indexes.REFUSALS_BY_REQUEST, name="by_request", sparse=True),
        ),
        "refusal_totals": (
            IndexModel(indexes.REFUSED_BY_TIME, name="by_time"),
            IndexModel(indexes.REFUSED_BY_INITIATOR, name="by_initiator"),
            _EXPIRY_OF_SOME,
        ),
        "webhook_deliveries": (
            _of_some("next_at", "due", {"state": "waiting"}),
            IndexModel([("webhook_id", ASCENDING), ("created_at", DESCENDING)], name="by_webhook"),
            _EXPIRY,
        ),
        "alerts": (_EXPIRY,),
        "limit_ledgers": (_EXPIRY,),
    }
)
"""All indexes, by collection, without those of retention, see `storage.mongo.index_creation`."""
