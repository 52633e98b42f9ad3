"""What may happen to users, groups, tokens, sessions and records, in the words of the audit trail and of metrics. Pure."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """In which way somebody read what others wrote."""

    LIST = "list"
    DETAIL = "detail"
    SESSION = "session"
    EXPORT = "export"
    SEARCH = "search"


class Action(StrEnum):
    """The action."""

    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_REMOVED = "user.removed"
    USER_LINKED = "user.linked"
    GROUP_ADDED = "group.added"
    GROUP_CHANGED = "group.changed"
    GROUP_REMOVED = "group.removed"
    MEMBER_ADDED = "group.member_added"
    MEMBER_REMOVED = "group.member_removed"
    TOKEN_CREATED = "token.created"  # noqa: S105 - a word
    TOKEN_REPLACED = "token.replaced"  # noqa: S105 - a word
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - a word
    POLICY_CHANGED = "policy.changed"
    POLICY_REMOVED = "policy.removed"
    AUTHENTICATION_FAILED = "authentication.failed"
    ACCESS_DENIED = "access.denied"
    SIGNED_IN = "user.signed_in"
    SESSION_ENDED = "session.ended"
    LINK_CREATED = "sign_in_link.created"
    CALLS_READ = "calls.read"
    CALLS_SEARCHED = "calls.searched"
    PROVIDER_ADDED = "provider.added"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_REMOVED = "provider.removed"
    PRICES_CHANGED = "prices.changed"
    WEBHOOK_ADDED = "webhook.added"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_REMOVED = "webhook.removed"
    VIEW_ADDED = "view.added"
    VIEW_CHANGED = "view.changed"
    VIEW_REMOVED = "view.removed"
    RECOST_REQUESTED = "recost.requested"
    RECOST_CANCELLED = "recost.cancelled"
    DEMO_FILLED = "demo.filled"
    DEMO_REMOVED = "demo.removed"


class Reason(StrEnum):
    """Why a request is not authenticated."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a word
    EXPIRED = "expired"
    REVOKED = "revoked"
    USER_REMOVED = "user_removed"
    BLOCKED = "blocked"
    SESSION_ENDED = "session_ended"
    SINGLE_SIGN_ON = "single_sign_on"


class Plane(StrEnum):
    """Where a request came in."""

    DATA = "data"
    CONTROL = "control"
    SIGN_IN = "sign_in"
