"""All indexes of the database by collection, and those that are obsolete; `storage.mongo.index_creation` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pymongo import ASCENDING, DESCENDING, IndexModel

from storage.mongo.indexes import (
    ANY_CASE,
    AUDIT_BY_TIME,
    BUSIEST,
    BUSIEST_TOKENS,
    BY_COMBINATION,
    BY_CONVERSATION,
    BY_FINGERPRINT,
    BY_INITIATOR,
    BY_LOSS,
    BY_REQUEST,
    BY_SESSION,
    BY_TIME,
    BY_TOOL_CALL,
    CHARGED,
    FIRST_SCHEMA,
    IN_FLIGHT_BY_TIME,
    NAMES,
    OF_SESSION,
    OF_THREAD,
    REFUSALS_BY_INITIATOR,
    REFUSALS_BY_TIME,
    REFUSED_BY_INITIATOR,
    REFUSED_BY_TIME,
    RESPONSE_UNTIL,
    ROLLUPS,
    ROLLUPS_BY_INITIATOR,
    SESSION_OF,
    SESSIONS_BY_ACTIVITY,
    SESSIONS_BY_CALLS,
    SESSIONS_BY_CLIENT,
    SESSIONS_BY_COST,
    SESSIONS_BY_FAILURES,
    SESSIONS_BY_INITIATOR,
    SESSIONS_BY_LOSS,
    SESSIONS_BY_MODEL,
    SESSIONS_BY_NAME,
    SESSIONS_BY_PROVIDER,
    SESSIONS_BY_PROVIDER_NAME,
    SESSIONS_BY_TIME,
    SESSIONS_OF_SEVERAL,
    SESSIONS_OF_SEVERAL_BY_MODEL,
    SESSIONS_WITH_FAILURES,
    SPENDERS,
    SPENDING_TOKENS,
    TAGGED,
    TEXTS_UNTIL,
    UNCHARGED,
    UNCOUNTED,
    UNGROUPED,
    UNINDEXED,
    UNLINKED,
)

INDEXES: Mapping[str, tuple[IndexModel, ...]] = MappingProxyType(
    {
        "interceptions": (
            IndexModel(BY_TIME, name="by_time"),
            IndexModel(BY_INITIATOR, name="by_initiator"),
            IndexModel(BY_COMBINATION, name="by_combination"),
            IndexModel(BY_SESSION, name="by_session"),
            IndexModel(BY_REQUEST, name="by_request"),
            IndexModel(BY_LOSS, name="by_loss", partialFilterExpression={"cache_loss.lost_tokens": {"$gt": 0}}),
            IndexModel(CHARGED, name="charged", partialFilterExpression={"charged": {"$gte": b""}}),
            IndexModel(
                UNCHARGED,
                name="uncharged",
                partialFilterExpression={"charged": None, "ended_at": {"$exists": True}},
            ),
            IndexModel(BY_TOOL_CALL, name="by_tool_call", partialFilterExpression={"tool_call_ids": {"$exists": True}}),
            IndexModel(
                BY_CONVERSATION, name="by_conversation", partialFilterExpression={"conversation": {"$exists": True}}
            ),
            IndexModel(UNLINKED, name="unlinked", partialFilterExpression={"unlinked.due": {"$exists": True}}),
            IndexModel(
                BY_FINGERPRINT,
                name="by_fingerprint",
                partialFilterExpression={"status": "failed", "fingerprint": {"$exists": True}},
            ),
            IndexModel(TEXTS_UNTIL, name="texts_until", partialFilterExpression={"texts_until": {"$exists": True}}),
            IndexModel(
                RESPONSE_UNTIL, name="response_until", partialFilterExpression={"response_until": {"$exists": True}}
            ),
            IndexModel("instance_id", name="in_flight", partialFilterExpression={"status": "in_flight"}),
            IndexModel(IN_FLIGHT_BY_TIME, name="in_flight_by_time", partialFilterExpression={"status": "in_flight"}),
            IndexModel(UNCOUNTED, name="uncounted", partialFilterExpression={"uncounted": {"$exists": True}}),
            IndexModel(UNINDEXED, name="unindexed", partialFilterExpression={"unindexed": {"$exists": True}}),
            # Without what waits for its thread to be known.
            IndexModel(
                UNGROUPED,
                name="ungrouped",
                partialFilterExpression={"ungrouped": {"$exists": True}, "unlinked": None},
            ),
            IndexModel(FIRST_SCHEMA, name="first_schema", partialFilterExpression={"schema_version": 1}),
            # The first calls of threads alone.
            IndexModel(
                OF_SESSION,
                name="of_session",
                partialFilterExpression={"session_id": {"$exists": True}, "root_id": None},
            ),
            IndexModel(SESSION_OF, name="session_of", partialFilterExpression={"session_id": {"$exists": True}}),
            IndexModel(OF_THREAD, name="of_thread", partialFilterExpression={"root_id": {"$exists": True}}),
        ),
        "rollups": (
            IndexModel(ROLLUPS, name="cell"),
            IndexModel(ROLLUPS_BY_INITIATOR, name="by_initiator"),
            IndexModel(BUSIEST, name="busiest", partialFilterExpression={"level": "person"}),
            IndexModel(BUSIEST_TOKENS, name="busiest_tokens", partialFilterExpression={"level": "token"}),
            IndexModel(SPENDERS, name="spenders", partialFilterExpression={"level": "initiator", "bucket": "day"}),
            IndexModel(
                SPENDING_TOKENS, name="spending_tokens", partialFilterExpression={"level": "token", "bucket": "day"}
            ),
            IndexModel(TAGGED, name="tagged", partialFilterExpression={"tag": {"$exists": True}}),
            *(
                IndexModel(keys, name=f"{level}_names", partialFilterExpression={"level": level, "bucket": "day"})
                for level, keys in NAMES.items()
            ),
            IndexModel(
                "expires_at",
                name="expiry",
                expireAfterSeconds=0,
                partialFilterExpression={"expires_at": {"$exists": True}},
            ),
        ),
        "sessions": (
            IndexModel(SESSIONS_BY_TIME, name="by_time"),
            IndexModel(SESSIONS_WITH_FAILURES, name="with_failures", partialFilterExpression={"failures": {"$gt": 0}}),
            IndexModel(SESSIONS_OF_SEVERAL, name="of_several", partialFilterExpression={"interceptions": {"$gt": 1}}),
            IndexModel(SESSIONS_BY_INITIATOR, name="of_initiator"),
            IndexModel(SESSIONS_BY_CLIENT, name="of_client"),
            IndexModel(SESSIONS_BY_PROVIDER, name="by_provider"),
            IndexModel(SESSIONS_BY_PROVIDER_NAME, name="of_provider_name"),
            IndexModel(SESSIONS_BY_MODEL, name="of_model"),
            IndexModel(
                SESSIONS_OF_SEVERAL_BY_MODEL,
                name="of_several_and_model",
                partialFilterExpression={"interceptions": {"$gt": 1}},
            ),
            IndexModel(SESSIONS_BY_NAME, name="by_name"),
            IndexModel(SESSIONS_BY_ACTIVITY, name="by_activity"),
            IndexModel(SESSIONS_BY_COST, name="by_cost"),
            IndexModel(SESSIONS_BY_LOSS, name="by_loss"),
            IndexModel(SESSIONS_BY_FAILURES, name="by_failures"),
            IndexModel(SESSIONS_BY_CALLS, name="by_calls"),
        ),
        "cache_lines": (IndexModel("expires_at", name="expiry", expireAfterSeconds=0),),
        "users": (
            IndexModel(
                "username",
                name="active_username",
                unique=True,
                partialFilterExpression={"removed_at": None},
                collation=ANY_CASE,
            ),
            IndexModel(
                (("group_ids", ASCENDING), ("username", ASCENDING)),
                name="by_group",
                partialFilterExpression={"group_ids": {"$exists": True}},
                collation=ANY_CASE,
            ),
            IndexModel(
                (("openid.issuer", ASCENDING), ("openid.subject", ASCENDING)),
                name="by_subject",
                partialFilterExpression={"openid.subject": {"$exists": True}},
            ),
        ),
        "groups": (
            IndexModel(
                "name",
                name="active_name",
                unique=True,
                partialFilterExpression={"removed_at": None},
                collation=ANY_CASE,
            ),
        ),
        "providers": (IndexModel("name", name="name", unique=True),),
        "tokens": (
            IndexModel((("user_id", ASCENDING), ("created_at", ASCENDING)), name="by_user"),
            IndexModel((("created_at", DESCENDING), ("_id", DESCENDING)), name="by_time"),
        ),
        "token_uses": (IndexModel((("user_id", ASCENDING), ("at", DESCENDING)), name="by_user"),),
        "sign_in_sessions": (
            IndexModel((("user_id", ASCENDING), ("last_used_at", DESCENDING)), name="by_user"),
            IndexModel("expires_at", name="expiry", expireAfterSeconds=0),
        ),
        "sign_in_codes": (IndexModel("expires_at", name="expiry", expireAfterSeconds=0),),
        "device_codes": (
            IndexModel("user_code", name="by_user_code", unique=True),
            IndexModel("expires_at", name="expiry", expireAfterSeconds=0),
        ),
        "views": (
            IndexModel(
                (("user_id", ASCENDING), ("name", ASCENDING)), name="name_of_user", unique=True, collation=ANY_CASE
            ),
            IndexModel(
                (("shared", ASCENDING), ("name", ASCENDING)),
                name="shared",
                partialFilterExpression={"shared": True},
                collation=ANY_CASE,
            ),
        ),
        "audit": (
            IndexModel(AUDIT_BY_TIME, name="by_time"),
            IndexModel(
                "expires_at",
                name="expiry",
                expireAfterSeconds=0,
                partialFilterExpression={"expires_at": {"$exists": True}},
            ),
        ),
        "refusals": (
            IndexModel(REFUSALS_BY_TIME, name="by_time"),
            IndexModel(REFUSALS_BY_INITIATOR, name="by_initiator"),
        ),
        "refusal_totals": (
            IndexModel(REFUSED_BY_TIME, name="by_time"),
            IndexModel(REFUSED_BY_INITIATOR, name="by_initiator"),
            IndexModel(
                "expires_at",
                name="expiry",
                expireAfterSeconds=0,
                partialFilterExpression={"expires_at": {"$exists": True}},
            ),
        ),
        "webhook_deliveries": (
            IndexModel("next_at", name="due", partialFilterExpression={"state": "waiting"}),
            IndexModel([("webhook_id", ASCENDING), ("created_at", DESCENDING)], name="by_webhook"),
            IndexModel("expires_at", name="expiry", expireAfterSeconds=0),
        ),
        "alerts": (IndexModel("expires_at", name="expiry", expireAfterSeconds=0),),
        "limit_ledgers": (IndexModel("expires_at", name="expiry", expireAfterSeconds=0),),
    }
)
"""All indexes, by collection, without those for retention."""

OBSOLETE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "interceptions": ("by_model",),
        "users": ("living_username",),
        "sessions": ("by_initiator", "by_client", "by_provider_name", "by_model"),
    }
)
"""Names of indexes that earlier versions made and nothing uses: each slows recording down."""
