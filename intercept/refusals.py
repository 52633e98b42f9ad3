"""Requests that the bridge refused before they became calls: which rule it was, and what is recorded of each."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import Struct


class Rule(StrEnum):
    """Why the bridge refused a request. The names of the limits are those of `max-concurrency` and its neighbours."""

    CONCURRENCY = "concurrency"
    RATE = "rate"
    USER_RATE = "user_rate"
    USER_CONCURRENCY = "user_concurrency"
    AUTHENTICATION_FAILURES = "authentication_failures"
    NOT_AUTHENTICATED = "not_authenticated"
    AUTHENTICATION_UNAVAILABLE = "authentication_unavailable"
    DRAINING = "draining"
    BYOK_DISABLED = "byok_disabled"
    BODY_TOO_LARGE = "body_too_large"
    ENCODING_NOT_SUPPORTED = "encoding_not_supported"
    INVALID_REQUEST = "invalid_request"
    INVALID_PATH = "invalid_path"
    TOKEN_IN_ADDRESS = "token_in_address"  # noqa: S105 - a word
    WRONG_BASE_URL = "wrong_base_url"
    UNKNOWN_PROVIDER = "unknown_provider"
    UNKNOWN_ROUTE = "unknown_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    WEBSOCKET = "websocket"
    NO_PROVIDER_KEY = "no_provider_key"
    OWN_KEY_REQUIRED = "own_key_required"
    UNKNOWN_RESPONSE = "unknown_response"
    DATABASE_UNAVAILABLE = "database_unavailable"
    NOT_RECORDABLE = "not_recordable"


class Refusal(Struct, frozen=True, kw_only=True):
    """A request that was refused. What is not known is None.

    Attributes:
        rule: Why.
        status: The HTTP status that the client got.
        initiator_id: The user; None while nobody knows who it is.
        api_key_id: The public part of the token.
        client_ip: The client's address, of IPv6 its /64 network; None where the user is known.
        provider: The name of the provider.
        route: The route, as a pattern.
        model: The model, where the body was read.
        retry_after_ms: How long the client was told to wait, in milliseconds; None where it was told nothing.
    """

    rule: Rule
    status: int
    initiator_id: UUID | None = None
    api_key_id: str | None = None
    client_ip: str | None = None
    provider: str | None = None
    route: str | None = None
    model: str | None = None
    retry_after_ms: int | None = None

    def without_wait(self) -> Refusal:
        """What equal refusals have in common, however long each was told to wait."""
        return msgspec.structs.replace(self, retry_after_ms=None)

    def anonymous(self) -> Refusal:
        """What is left of it where there are too many to tell them apart."""
        return Refusal(rule=self.rule, status=self.status)
