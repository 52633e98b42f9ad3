"""What every bridge promises, and what any client can check: each check is a sentence and a function."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from verify.target import (
    ANTHROPIC,
    DEMO,
    INTERCEPTION_HEADER,
    OPENAI,
    PREFIX,
    FailedError,
    SkippedError,
    Target,
    VendorCall,
)

Check = Callable[[Target], None]

CHECKS: dict[str, Check] = {}
"""Those that need nothing but the bridge, by their sentence, in order."""

_UNKNOWN_TOKEN = "AAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105 - it opens nothing
_LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_LEAST_EVENTS = 2


def check(sentence: str) -> Callable[[Check], Check]:
    """Add a function to the checks under the sentence that it checks."""

    def decorate(function: Check) -> Check:
        CHECKS[sentence] = function
        return function

    return decorate


def expect(holds: bool, expected: str, seen: object) -> None:
    """Go on if it holds.

    Raises:
        FailedError: It does not.
    """
    if not holds:
        raise FailedError(expected, seen)


@check("the server says that it lives and is ready")
def _health(target: Target) -> None:
    for path in ("/healthz", "/readyz"):
        with target.request("GET", path, {}) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                raise SkippedError(f"a proxy keeps {path} inside")
            expect(
                response.status == HTTPStatus.OK,
                f"200 from {path}",
                f"{response.status} {response.body()[:300]!r}",
            )


@check("a call without a token is refused in its vendor's words")
def _no_token(target: Target) -> None:
    for dialect in (ANTHROPIC, OPENAI) if target.provider == DEMO else (target.dialect,):
        _expect_rejection(target, dialect, {}, "")


@check("a call with an unknown token is refused")
def _unknown_token(target: Target) -> None:
    _expect_rejection(target, target.dialect, {"Authorization": f"Bearer {_UNKNOWN_TOKEN}"}, "")


@check("a token in the address opens nothing")
def _token_in_query(target: Target) -> None:
    _expect_rejection(target, target.dialect, {}, f"?token={target.token}&api_key={target.token}")


@check("a call is answered, and recorded with its prompt and tokens")
def _recorded(target: Target) -> None:
    prompt = f"Say hello. ({uuid4()})"
    with target.call(prompt) as response:
        response.body()
        record = target.record(response.header(INTERCEPTION_HEADER))
    expect(record["status"] == "completed", "status completed", record["status"])
    prompts = record["user_prompts"]
    is_there = len(prompts) == 1 and (prompts[0]["prompt"] == prompt or "recording" in prompts[0]["metadata"])
    expect(is_there, "the prompt, or what a policy keeps of it", prompts)
    expect(bool(record["token_usages"]), "token usage", "none")


@check("a stream arrives event by event")
def _streamed(target: Target) -> None:
    with target.call("Count from one to ten, in words.", stream=True) as response:
        kind, cache = response.header("Content-Type"), response.header("Cache-Control")
        expect(kind.startswith("text/event-stream"), "text/event-stream", kind)
        expect("no-transform" in cache, "Cache-Control with no-transform", cache)
        pieces = list(response.pieces())
    expect(len(pieces) >= _LEAST_EVENTS, "more than one piece", f"{len(pieces)}, of {sum(map(len, pieces))} bytes")


@check("a client that leaves is recorded as such")
def _left(target: Target) -> None:
    with target.call("Tell a long story.", stream=True) as response:
        next(response.pieces())
        interception_id = response.header(INTERCEPTION_HEADER)
    record = target.record(interception_id)
    if record["end_reason"] == "completed":
        raise SkippedError("the answer was over before the client could leave")
    expect(record["end_reason"] == "client_disconnected", "end_reason client_disconnected", record["end_reason"])


@check("limits are told with every answer")
def _limits(target: Target) -> None:
    with target.request("GET", f"{PREFIX}/{target.provider}/v1/nothing-here") as response:
        limits = {name: response.header(name) for name in _LIMITS}
    if not any(limits.values()):
        raise SkippedError("no rate limit is set")
    expect(all(value.isdecimal() for value in limits.values()), "three numbers", limits)


def _expect_rejection(target: Target, dialect: VendorCall, headers: dict[str, str], query: str) -> None:
    sent = {**headers, "Content-Type": "application/json"}
    body = dialect.request(target.model, prompt="Nobody hears this.", stream=False)
    with target.request("POST", target.path(dialect) + query, sent, body) as response:
        seen = response.json()
        refused = (
            response.status == HTTPStatus.UNAUTHORIZED
            and isinstance(seen, dict)
            and _holds(lambda it: bool(it["message"]), seen)
        )
        expect(refused, "401 and a message", f"{response.status} {seen}")
        right = _holds(lambda it: it["error"]["type"] == dialect.error_type, seen)
        expect(right, f"an error of the type {dialect.error_type}", seen)


def _holds(predicate: Callable[[dict[str, Any]], bool], body: dict[str, Any]) -> bool:
    try:
        return predicate(body)
    except (LookupError, TypeError):
        return False
