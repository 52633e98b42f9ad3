"""The response and the record of a request that the bridge refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from handlers.base import BridgeHandler
from handlers.lifecycle import ActiveRequest
from handlers.problems import Problem
from intercept.apis import Dialect
from intercept.refusals import Refusal, Rule
from intercept.secrets.scrub import scrub_quoted
from limits.headers import dialect_headers
from limits.limit import Decision, LimitState
from limits.policies.effective import Effective
from limits.protection.mixin import client_key
from limits.protection.overload import OverloadedError, refusal
from resources.errors import aws_error_type
from storage.accounts.identities import Identity

# The official SDKs and Claude Code obey it; without it some repeat a 401.
RETRY_HEADER = "x-should-retry"
# By which clients of a dialect read the request id; the others read X-Request-Id.
REQUEST_ID_HEADERS = {Dialect.ANTHROPIC: "Request-Id", Dialect.BEDROCK: "x-amzn-RequestId"}
# Where Amazon's clients read the type of an error.
ERROR_TYPE_HEADER = "x-amzn-ErrorType"
# What no repetition mends.
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 413, 415})
# Characters of a refused request's path, and of the message, that are recorded. More of the path is read, so that no half
# of a credential is kept.
KEPT_OF_PATH, KEPT_OF_MESSAGE = 200, 1_000
READ_OF_PATH = 1_000


def problem_of(error: OverloadedError, dialect: Dialect, now: datetime) -> Problem:
    """The problem for a refusal by a limit, with the headers of the provider whose API the client uses."""
    headers = error.headers | dialect_headers(dialect, error.states, now)
    return Problem(error.status, error.message, headers, rule=error.rule, policy=error.policy)


def problem_headers(status: int, dialect: Dialect, request_id: str) -> dict[str, str]:
    """The headers of an error: whether to retry, and the id of the request as the dialect's clients read it."""
    headers = {RETRY_HEADER: "false"} if status in FINAL_STATUSES else {}
    headers[REQUEST_ID_HEADERS.get(dialect, "X-Request-Id")] = request_id
    if dialect is Dialect.BEDROCK:
        headers[ERROR_TYPE_HEADER] = aws_error_type(status)
    return headers


def refusal_of(
    handler: BridgeHandler, known: ActiveRequest, problem: Problem, rule: Rule, *, shadow: bool = False
) -> Refusal:
    """The record of a refusal. Without a valid token it has the address.

    Args:
        handler: Of the request.
        known: What is known of it so far.
        problem: What the client is told.
        rule: What refused it.
        shadow: Whether the rule only counts, and refused nothing.
    """
    identity: Identity | None = getattr(handler, "identity", None)
    return Refusal(
        rule=rule,
        status=problem.status,
        initiator_id=known.user_id,
        api_key_id=identity.token_id if identity else handler.refused_token_id,
        client_ip=None if identity else client_key(handler.client_ip),
        method=handler.request.method,
        path=scrub_quoted(handler.request.path[:READ_OF_PATH])[:KEPT_OF_PATH],
        provider=known.provider,
        route=known.route,
        model=known.model,
        retry_after_ms=problem.retry_after_ms,
        policy=problem.policy,
        shadow=shadow,
        message=problem.scrubbed().message[:KEPT_OF_MESSAGE],
        request_id=UUID(handler.request_id),
    )


def shadow_refusals(
    handler: BridgeHandler, known: ActiveRequest, states: Sequence[LimitState], policy: Effective | None
) -> Iterator[Refusal]:
    """The records of limits that only count, and that would have refused a request."""
    for state in states:
        error = refusal(state, Decision(None, (), state, state.retry_after_ns), policy)
        problem = Problem(error.status, error.message, error.headers, policy=error.policy)
        yield refusal_of(handler, known, problem, error.rule, shadow=True)
