"""Requests that the bridge refuses: which rule it was, what the client is told, and what is recorded of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from intercept.secrets import scrub_quoted


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


class RuleWords(NamedTuple):
    """What a rule is called, with which HTTP status it refuses, and what it means."""

    title: str
    statuses: tuple[int, ...]
    meaning: str


RULES: Final[Mapping[Rule, RuleWords]] = {
    Rule.CONCURRENCY: RuleWords(
        "At capacity", (503,), "The server had as many calls as it takes at a time (max-concurrency)."
    ),
    Rule.RATE: RuleWords(
        "Token rate limited", (429,), "The token, or the address without one, started too many calls (rate-limit)."
    ),
    Rule.USER_RATE: RuleWords(
        "User rate limited", (429,), "All tokens of the user together started too many calls (user-rate-limit)."
    ),
    Rule.USER_CONCURRENCY: RuleWords(
        "User at capacity", (429,), "The user had too many calls in progress (user-max-concurrency)."
    ),
    Rule.USER_TOKENS: RuleWords(
        "User out of tokens", (429,), "The user used up the tokens of the window (user-token-limit)."
    ),
    Rule.USER_BUDGET: RuleWords(
        "Budget used up", (403, 429), "The user's budget of this period is spent (user-budget-usd)."
    ),
    Rule.POLICY_CONCURRENCY: RuleWords("Policy: at capacity", (429,), "A policy allows no more calls in progress."),
    Rule.POLICY_RATE: RuleWords("Policy: rate limited", (429,), "A policy allows no more calls within its window."),
    Rule.POLICY_TOKENS: RuleWords("Policy: out of tokens", (429,), "A policy allows no more tokens within its window."),
    Rule.POLICY_BUDGET: RuleWords(
        "Policy: budget used up", (403, 429), "The budget of a policy is used up in this period."
    ),
    Rule.MODEL_NOT_ALLOWED: RuleWords("Model not allowed", (403,), "A policy does not allow the model."),
    Rule.TOO_MANY_TOKENS: RuleWords(
        "Too many tokens asked for", (400,), "The request asked for more tokens than a policy allows."
    ),
    Rule.STOPPING: RuleWords("Server stopping", (503,), "The server was being stopped."),
    Rule.NO_TOKEN: RuleWords("No token", (401,), "No token was sent."),
    Rule.INVALID_TOKEN: RuleWords("Invalid token", (401,), "The token is unknown, expired or revoked."),
    Rule.PROVIDER_KEY_AS_TOKEN: RuleWords(
        "Provider's key as token", (401,), "A provider's key was sent in the place of a token."
    ),
    Rule.TOO_MANY_FAILURES: RuleWords(
        "Too many invalid tokens", (429,), "The address sent too many invalid tokens (authentication-failure-limit)."
    ),
    Rule.TOKENS_UNVERIFIABLE: RuleWords(
        "Tokens not verifiable",
        (503,),
        "The database could not be reached to verify the token, and the token is not remembered.",
    ),
    Rule.TOKEN_IN_ADDRESS: RuleWords(
        "Token in the address", (400,), "The address had a token in it; tokens belong in a header."
    ),
    Rule.OWN_KEY_NOT_ALLOWED: RuleWords(
        "Own key not allowed", (403,), "The client sent its own key, and allow-byok is off or a policy denies it."
    ),
    Rule.OWN_KEY_NEEDED: RuleWords("Own key needed", (403,), "The route is only for clients that send their own key."),
    Rule.NO_PROVIDER_KEY: RuleWords("No provider key", (400,), "The bridge has no key for the provider."),
    Rule.UNKNOWN_PROVIDER: RuleWords("Unknown provider", (404,), "There is no provider with this name."),
    Rule.PROVIDER_UNAVAILABLE: RuleWords(
        "Provider unavailable",
        (503,),
        "The provider is disabled, its keys cannot be opened, or the providers of the database are not known yet.",
    ),
    Rule.UNKNOWN_ROUTE: RuleWords("Unknown route", (404,), "The provider has no such route."),
    Rule.WRONG_BASE_URL: RuleWords(
        "Wrong base URL", (404,), "The base URL of the client is wrong; the response named the right one."
    ),
    Rule.ODD_PATH: RuleWords("Odd path", (400,), "The path could mean another one to the provider."),
    Rule.WRONG_METHOD: RuleWords("Wrong method", (405,), "The route is not served with this method."),
    Rule.WEBSOCKET: RuleWords(
        "WebSocket",
        (426, 403, 429),
        "A WebSocket is not served here, comes from a page of another origin, or the user has too many.",
    ),
    Rule.NOT_YOUR_RESPONSE: RuleWords("Not the user's response", (404,), "No stored response of the user has this id."),
    Rule.INVALID_TAGS: RuleWords("Invalid tags", (400,), "The header X-AIBridge-Tags could not be read."),
    Rule.BODY_TOO_LARGE: RuleWords(
        "Body too large", (413,), "The body was larger than max-body-bytes or max-form-bytes, or than the route takes."
    ),
    Rule.COMPRESSED_BODY: RuleWords(
        "Compressed body", (415,), "The body was compressed in a way that is not supported."
    ),
    Rule.UNUSABLE_BODY: RuleWords(
        "Invalid body",
        (400, 415),
        "The body could not be read.",
    ),
    Rule.NOT_RECORDABLE: RuleWords("Not recordable", (503,), "The call could not be recorded, so it was not made."),
    Rule.DATABASE_UNAVAILABLE: RuleWords(
        "Database unavailable", (503,), "The database could not be reached to see whose response it is."
    ),
    Rule.MALFORMED_REQUEST: RuleWords("Malformed request", (400,), "The request was not valid HTTP."),
    Rule.HEAD_TOO_LARGE: RuleWords("Head too large", (431,), "The request had too many or too large headers."),
    Rule.UNSUPPORTED_CODING: RuleWords(
        "Unsupported coding", (501,), "The request had another transfer coding than chunked."
    ),
    Rule.UNSUPPORTED_VERSION: RuleWords(
        "Unsupported version", (505,), "The request was neither HTTP/1.1 nor HTTP/1.0."
    ),
    Rule.LATE_HEAD: RuleWords("Late head", (408,), "The head of the request did not arrive within two minutes."),
    Rule.LATE_BODY: RuleWords("Late body", (408,), "The body of the request did not arrive in time."),
}
"""The rules in words."""


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
        """This problem without anything that looks like a credential: nothing sent by the client is repeated."""
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
