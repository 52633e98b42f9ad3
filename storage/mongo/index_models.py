"""All indexes of the database by collection, and those that are obsolete; `storage.mongo.index_creation` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pymongo import ASCENDING, DESCENDING, IndexModel

from storage.mongo import indexes
from storage.mongo.indexes import ANY_CASE, Keys

_EXPIRY = IndexModel("expires_at", name="expiry", expireAfterSeconds=0)
_EXPIRY_OF_SOME = IndexModel(
    "expires_at", name="expiry", expireAfterSeconds=0, partialFilterExpression={"expires_at": {"$exists": True}}
)


def _of_those_with(keys: Keys, name: str, field: str = "") -> IndexModel:
    """An index of the documents that have a field, of the same name where that is not given."""
    return IndexModel(keys, name=name, partialFilterExpression={field or name: {"$exists": True}})


INDEXES: Mapping[str, tuple[IndexModel, ...]] = MappingProxyType(
    {
        "interceptions": (
            IndexModel(indexes.BY_TIME, name="by_time"),
            IndexModel(indexes.BY_INITIATOR, name="by_initiator"),
            IndexModel(indexes.BY_COMBINATION, name="by_combination"),
            IndexModel(indexes.BY_SESSION, name="by_session"),
            IndexModel(indexes.BY_REQUEST, name="by_request"),
            IndexModel(indexes.BY_LOSS, name="by_loss", partialFilterExpression={"cache_loss.lost_tokens": {"$gt": 0}}),
            IndexModel(indexes.CHARGED, name="charged", partialFilterExpression={"charged": {"$gte": b""}}),
            IndexModel(
                indexes.UNCHARGED,
                name="uncharged",
                partialFilterExpression={"charged": None, "ended_at": {"$exists": True}},
            ),
            _of_those_with(indexes.BY_TOOL_CALL, "by_tool_call", "tool_call_ids"),
            _of_those_with(indexes.BY_CONVERSATION, "by_conversation", "conversation"),
            _of_those_with(indexes.UNLINKED, "unlinked", "unlinked.due"),
            IndexModel(
                indexes.BY_FINGERPRINT,
                name="by_fingerprint",
                partialFilterExpression={"status": "failed", "fingerprint": {"$exists": True}},
            ),
            _of_those_with(indexes.TEXTS_UNTIL, "texts_until"),
            _of_those_with(indexes.RESPONSE_UNTIL, "response_until"),
            IndexModel("instance_id", name="in_flight", partialFilterExpression={"status": "in_flight"}),
            IndexModel(
                indexes.IN_FLIGHT_BY_TIME, name="in_flight_by_time", partialFilterExpression={"status": "in_flight"}
            ),
            _of_those_with(indexes.UNCOUNTED, "uncounted"),
            _of_those_with(indexes.UNINDEXED, "unindexed"),
            # Without what waits for its thread to be known.
            IndexModel(
                indexes.UNGROUPED,
                name="ungrouped",
                partialFilterExpression={"ungrouped": {"$exists": True}, "unlinked": None},
            ),
            IndexModel(indexes.FIRST_SCHEMA, name="first_schema", partialFilterExpression={"schema_version": 1}),
            # The first calls of threads alone.
            IndexModel(
                indexes.OF_SESSION,
                name="of_session",
                partialFilterExpression={"session_id": {"$exists": True}, "root_id": None},
            ),
            _of_those_with(indexes.SESSION_OF, "session_of", "session_id"),
            _of_those_with(indexes.OF_THREAD, "of_thread", "root_id"),
        ),
        "rollups": (
            IndexModel(indexes.ROLLUPS, name="cell"),
            IndexModel(indexes.ROLLUPS_BY_INITIATOR, name="by_initiator"),
            IndexModel(indexes.BUSIEST, name="busiest", partialFilterExpression={"level": "person"}),
            IndexModel(indexes.BUSIEST_TOKENS, name="busiest_tokens", partialFilterExpression={"level": "token"}),
            IndexModel(
                indexes.SPENDERS, name="spenders", partialFilterExpression={"level": "initiator", "bucket": "day"}
            ),
            IndexModel(
                indexes.SPENDING_TOKENS,
                name="spending_tokens",
                partialFilterExpression={"level": "token", "bucket": "day"},
            ),
            _of_those_with(indexes.TAGGED, "tagged", "tag"),
            *(
                IndexModel(keys, name=f"{level}_names", partialFilterExpression={"level": level, "bucket": "day"})
                for level, keys in indexes.NAMES.items()
            ),
            _EXPIRY_OF_SOME,
        ),
        "sessions": (
            IndexModel(indexes.SESSIONS_BY_TIME, name="by_time"),
            IndexModel(
                indexes.SESSIONS_WITH_FAILURES, name="with_failures", partialFilterExpression={"failures": {"$gt": 0}}
            ),
            IndexModel(
                indexes.SESSIONS_OF_SEVERAL, name="of_several", partialFilterExpression={"interceptions": {"$gt": 1}}
            ),
            IndexModel(indexes.SESSIONS_BY_INITIATOR, name="of_initiator"),
            IndexModel(indexes.SESSIONS_BY_CLIENT, name="of_client"),
            IndexModel(indexes.SESSIONS_BY_PROVIDER, name="by_provider"),
            IndexModel(indexes.SESSIONS_BY_PROVIDER_NAME, name="of_provider_name"),
            IndexModel(indexes.SESSIONS_BY_MODEL, name="of_model"),
            IndexModel(
                indexes.SESSIONS_OF_SEVERAL_BY_MODEL,
                name="of_several_and_model",
                partialFilterExpression={"interceptions": {"$gt": 1}},
            ),
            IndexModel(indexes.SESSIONS_BY_NAME, name="by_name"),
            IndexModel(indexes.SESSIONS_BY_ACTIVITY, name="by_activity"),
            IndexModel(indexes.SESSIONS_BY_COST, name="by_cost"),
            IndexModel(indexes.SESSIONS_BY_LOSS, name="by_loss"),
            IndexModel(indexes.SESSIONS_BY_FAILURES, name="by_failures"),
            IndexModel(indexes.SESSIONS_BY_CALLS, name="by_calls"),
        ),
        "cache_lines": (_EXPIRY,),
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
            _EXPIRY,
        ),
        "sign_in_codes": (_EXPIRY,),
        "device_codes": (
            IndexModel("user_code", name="by_user_code", unique=True),
            _EXPIRY,
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
            IndexModel(indexes.AUDIT_BY_TIME, name="by_time"),
            _EXPIRY_OF_SOME,
        ),
        "refusals": (
            IndexModel(indexes.REFUSALS_BY_TIME, name="by_time"),
            IndexModel(indexes.REFUSALS_BY_INITIATOR, name="by_initiator"),
        ),
        "refusal_totals": (
            IndexModel(indexes.REFUSED_BY_TIME, name="by_time"),
            IndexModel(indexes.REFUSED_BY_INITIATOR, name="by_initiator"),
            _EXPIRY_OF_SOME,
        ),
        "webhook_deliveries": (
            IndexModel("next_at", name="due", partialFilterExpression={"state": "waiting"}),
            IndexModel([("webhook_id", ASCENDING), ("created_at", DESCENDING)], name="by_webhook"),
            _EXPIRY,
        ),
        "alerts": (_EXPIRY,),
        "limit_ledgers": (_EXPIRY,),
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
