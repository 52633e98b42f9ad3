"""Requests that the bridge refuses: which rule it was, what the client is told, and what is recorded of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from uuid import UUID

import msgspec
from msgspec import Struct

from intercept.secrets.scrub import scrub_quoted


class Rule(StrEnum):
    """Why the bridge refuses a call to a provider. The first ten are the limits, the last four of these those of policies."""

    CONCURRENCY = auto()
    RATE = auto()
    USER_RATE = auto()
    USER_CONCURRENCY = auto()
    USER_TOKENS = auto()
    USER_BUDGET = auto()
    POLICY_CONCURRENCY = auto()
    POLICY_RATE = auto()
    POLICY_TOKENS = auto()
    POLICY_BUDGET = auto()
    MODEL_NOT_ALLOWED = auto()
    TOO_MANY_TOKENS = auto()
    STOPPING = auto()
    NO_TOKEN = auto()
    INVALID_TOKEN = auto()
    PROVIDER_KEY_AS_TOKEN = auto()
    TOO_MANY_FAILURES = auto()
    TOKENS_UNVERIFIABLE = auto()
    TOKEN_IN_ADDRESS = auto()
    OWN_KEY_NOT_ALLOWED = auto()
    OWN_KEY_NEEDED = auto()
    NO_PROVIDER_KEY = auto()
    UNKNOWN_PROVIDER = auto()
    PROVIDER_UNAVAILABLE = auto()
    UNKNOWN_ROUTE = auto()
    WRONG_BASE_URL = auto()
    ODD_PATH = auto()
    WRONG_METHOD = auto()
    WEBSOCKET = auto()
    NOT_YOUR_RESPONSE = auto()
    INVALID_TAGS = auto()
    BODY_TOO_LARGE = auto()
    COMPRESSED_BODY = auto()
    UNUSABLE_BODY = auto()
    NOT_RECORDABLE = auto()
    DATABASE_UNAVAILABLE = auto()
    MALFORMED_REQUEST = auto()
    HEAD_TOO_LARGE = auto()
    UNSUPPORTED_CODING = auto()
    UNSUPPORTED_VERSION = auto()
    LATE_HEAD = auto()
    LATE_BODY = auto()


class Problem(Exception):  # noqa: N818 - the word of RFC 9457; it is a response, not a fault of the program
    """A response of the bridge's own: an HTTP status, a message for the client, and headers that explain it.

    `rule` is what refused a call to a provider; None elsewhere, and where the call is recorded as an interception. `policy`
    says whose policy has that rule, if one has.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        rule: Rule | None = None,
        policy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.rule = rule
        self.policy = policy

    @property
    def retry_after_ms(self) -> int | None:
        """The wait in the response, in milliseconds; None without one."""
        if (milliseconds := self.headers.get("retry-after-ms")) is not None:
            return int(milliseconds)
        seconds = self.headers.get("Retry-After")
        return None if seconds is None else int(seconds) * 1000

    def scrubbed(self) -> Problem:
        """The same without anything that looks like a credential: nothing sent by the client is repeated."""
        return Problem(self.status, scrub_quoted(self.message), self.headers, rule=self.rule, policy=self.policy)


class Refusal(Struct, frozen=True, kw_only=True):
    """A request that was refused. What is not known is None.

    Attributes:
        rule: Why.
        status: The HTTP status that the client got.
        initiator_id: The user; None while nobody knows who it is.
        api_key_id: The public part of the token.
        client_ip: The client's address, of IPv6 its /64 network; None where the user is known.
        method: The method of the request.
        path: The beginning of its path, without the query and without what looks like a credential.
        provider: The name of the provider.
        route: The route, as a pattern.
        model: The model, where the body was read.
        retry_after_ms: How long the client was asked to wait, in milliseconds; None for no wait.
        policy: Whose policy has the rule, as in `group research`; None if none has.
        shadow: Whether the rule only counts what it would refuse: then nothing was refused.
        message: What the client was told.
        request_id: The id of the request, which the client was told too.
    """

    rule: Rule
    status: int
    initiator_id: UUID | None = None
    api_key_id: str | None = None
    client_ip: str | None = None
    method: str | None = None
    path: str | None = None
    provider: str | None = None
    route: str | None = None
    model: str | None = None
    retry_after_ms: int | None = None
    policy: str | None = None
    shadow: bool = False
    message: str | None = None
    request_id: UUID | None = None

    @property
    def kind(self) -> Refusal:
        """The common part of equal refusals, whatever each client was told."""
        return msgspec.structs.replace(self, retry_after_ms=None, message=None, request_id=None)

    def anonymous(self) -> Refusal:
        """What is left of it where there are too many to tell them apart."""
        return Refusal(rule=self.rule, status=self.status, shadow=self.shadow)
