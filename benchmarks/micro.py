"""Measure the pure parts alone, on one core, to compare a change.

    .venv/bin/python -m benchmarks.micro [--no-write]

Each is repeated for a while, several times. The fastest time is shown: slower ones were disturbed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import count
from time import monotonic_ns, perf_counter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import bson
import click
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from benchmarks.reports.page import machine, write_section
from benchmarks.reports.samples import short
from benchmarks.reports.tables import markdown
from benchmarks.stand.conversations import CONVERSATIONS, PROMPT, CallSpec
from intercept.apis import Reader
from intercept.blocks import read_blocks
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from intercept.formats.streams.sse import Decoder
from intercept.records import CredentialKind, Ending, EndReason, Interception, UserPrompt
from intercept.refusals import Rule
from intercept.secrets.known import KnownSecrets
from limits.authority import LocalAuthority
from limits.limit import Kind, Limit, Of, Period
from limits.limiter import Limiter
from limits.policies.book import PolicyBook
from limits.policies.effective import Caller
from limits.policies.policy import (
    Budget,
    Limits,
    Models,
    Policy,
    Rate,
    SharedLimits,
    SharedPolicy,
    Tokens,
)
from limits.policies.sources import Level, Source
from limits.protection.circuit_breaker import BreakerPolicy, CircuitBreakers, CircuitKey, Outcome
from limits.protection.overload import OverloadProtection
from limits.request_limits import Client, LimitSettings
from resources.recorded import interceptions as resources
from storage.accounts.users import Role, User
from storage.costs.prices import Prices
from storage.recording.documents import ending_fields, start_document
from storage.recording.operations import Action, Operation
from upstream.credentials.sigv4 import AwsKeys, Scope, sign

SECTION = "figures of make bench-micro"
REPEATS, SECONDS = 5, 0.2
EVENTS = 100
PAGE = 25
RATE_LIMIT, NANOSECONDS_APART = 10_000, 200_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
APIS = {"chat": CHAT_COMPLETIONS, "responses": RESPONSES, "messages": MESSAGES}


class Part(NamedTuple):
    """A pure part. A call of it does `amount` of `unit`."""

    name: str
    unit: str
    amount: float
    call: Callable[[], object]

    def rate(self) -> float:
        """The amount that is done in a second."""
        return max(self._once() for _ in range(REPEATS))

    def _once(self) -> float:
        calls, began = 0, perf_counter()
        while (now := perf_counter()) < began + SECONDS:
            self.call()
            calls += 1
        return self.amount * calls / (now - began)


def readers() -> Iterator[Part]:
    """The readers of responses: streams in one piece for each event, as they come, and bodies in one piece."""
    for name, api in APIS.items():
        one = CONVERSATIONS[name]
        stream = [one.opening, *[one.event % monotonic_ns()] * EVENTS, one.closing]
        if name == "chat":
            yield _fed("SSE decoder, an event at a time", Decoder, stream)
            yield _fed("SSE decoder, a stream at a time", Decoder, [b"".join(stream)])
        yield _fed(f"reader of streams, `{name}`", api.stream_reader, stream)
        yield _fed(f"reader of bodies, `{name}`", api.body_reader, [one.body])


def parsers() -> Iterator[Part]:
    """The readers of requests."""
    for name, api in APIS.items():
        body = CallSpec(name).request_body()
        yield Part(f"parser of requests, `{name}`", "requests", 1, partial(api.parse_request, body))
        yield Part(f"blocks of requests, `{name}`", "requests", 1, partial(read_blocks, body))


_SECOND = 1_000_000_000
# Of every kind, and of several keys each.
LIMITS = (
    Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:t", RATE_LIMIT, _SECOND),
    Limit(Kind.CONCURRENCY, Rule.USER_CONCURRENCY, Of.USER, "user:u", 1000),
    Limit(Kind.CONCURRENCY, Rule.USER_CONCURRENCY, Of.GROUP, "group:g", 1000),
    Limit(Kind.RATE, Rule.USER_RATE, Of.USER, "user:u", RATE_LIMIT, _SECOND),
    Limit(Kind.RATE, Rule.USER_RATE, Of.GROUP, "group:g", RATE_LIMIT, _SECOND),
    Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.TOKEN, "token:t", 10**9, 60 * _SECOND),
    Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", 10**9, 60 * _SECOND),
    Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.GROUP, "group:g", 10**9, 60 * _SECOND),
    Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:u", 10**9, period=Period.MONTH),
    Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.GROUP, "group:g", 10**9, period=Period.MONTH),
)


CALLER = Caller("user", "token", ("group",))


def ten_limits() -> PolicyBook:
    """Policies of everyone, a group, a user and a token, with ten limits together, and models at each."""
    rate, tokens, budget = Rate(10**6, "1m"), Tokens(10**9, "1m"), Budget(10**6, "month")
    models = Models(allow=["claude-*", "gpt-5*"], deny=["*-preview"])
    book = PolicyBook()
    book.put(
        Source(Level.EVERYONE),
        SharedPolicy(models=models, limits=SharedLimits(each_member=Limits(rate=rate), together=Limits(rate=rate))),
    )
    book.put(
        Source(Level.GROUP, "group", "research"),
        SharedPolicy(
            models=models,
            limits=SharedLimits(each_member=Limits(tokens=tokens), together=Limits(concurrency=1000, budget=budget)),
        ),
    )
    book.put(
        Source(Level.USER, "user", "ada"),
        Policy(models=models, limits=Limits(concurrency=1000, tokens=tokens, budget=budget)),
    )
    book.put(Source(Level.TOKEN, "token", "token"), Policy(models=models, limits=Limits(rate=rate, budget=budget)))
    return book


def limiters() -> Iterator[Part]:
    """The limiters, for a request that is admitted: each alone, and all in the order in which a request meets them."""
    clock = count(0, NANOSECONDS_APART).__next__
    breakers = CircuitBreakers(BreakerPolicy(), monotonic_ns, lambda *_: None)
    circuit = CircuitKey("openai", "/v1/responses", "gpt-4o")
    settings = LimitSettings(max_concurrency=1000, rate_limit=RATE_LIMIT, user_max_concurrency=1000)
    overload = OverloadProtection(settings, authority=LocalAuthority(Limiter(clock)))
    client = Client("token", "user")

    def decide(limiter: Limiter, limits: Sequence[Limit]) -> None:
        decision = limiter.start(limits)
        assert decision.ticket is not None
        limiter.end(decision.ticket)

    async def admit(policies: PolicyBook) -> None:
        policy = policies.find(CALLER, "ada")
        caller = client if policy is None else Client("token", "user", policy=policy)
        slot, held = await overload.acquire_slot(), await overload.count_request(caller)
        if policy is not None:
            assert policy.refuse_model("anthropic", "claude-opus-4-1") is None
        held.release()
        slot.release()

    def admit_now(policies: PolicyBook) -> None:
        try:
            admit(policies).send(None)
        except StopIteration:
            return
        raise AssertionError("nothing is to be waited for in one process")

    for number in (1, 2, 10):
        limits = LIMITS[:number]
        yield Part(f"a limiter: {number} limits", "decisions", 1, partial(decide, Limiter(clock), limits))
    yield Part(
        "circuit breaker: ask and settle", "decisions", 1, lambda: breakers.admit(circuit).settle(Outcome.SUCCESS)
    )
    yield Part("slot, user and rate of a request", "decisions", 1, partial(admit_now, PolicyBook()))
    yield Part("the same with policies at four levels and ten limits", "decisions", 1, partial(admit_now, ten_limits()))


def codecs() -> Iterator[Part]:
    """The steps from a call to a record, and from a record to an operation."""
    started, ended = _call()

    def start() -> Operation:
        document = start_document(started, instance_id=started.id, new_id=uuid4)
        return Operation(Action.START, document.pop("_id"), document)

    def end() -> Operation:
        return Operation(Action.END, started.id, ending_fields(ended, new_id=uuid4))

    prices = Prices({"openai": ("openai", "https://api.openai.com/v1/")})
    used = ended.reading.token_usages
    known = KnownSecrets(f"sk-proj-{number:040}" for number in range(4))
    carried = ("qwertyuiopasdfghjklzxc",)

    def hide() -> tuple[Interception, Ending]:
        secrets = known.together_with(carried)
        return secrets.hide(started), secrets.hide(ended)

    yield Part("known secrets looked for in both records", "calls", 1, hide)
    yield Part("price of a call", "calls", 1, lambda: prices.cost("openai", started.model, used, NOW))
    began, over = start(), end()
    yield Part("record of a start, encoded", "documents", 1, start)
    yield Part("record of an end, encoded", "documents", 1, end)
    yield Part("both put together", "documents", 1, lambda: began.ended_by(over).record)
    yield Part(
        "record of an end, read back and made an update", "documents", 1, lambda: Operation.decode(over.record).write()
    )


def responses() -> Iterator[Part]:
    """The steps from MongoDB's documents to a response of the API."""
    started, ended = _call()
    document = start_document(started, instance_id=started.id, new_id=uuid4) | ending_fields(ended, new_id=uuid4)
    options: CodecOptions[Any] = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
    sent = bson.encode(document, codec_options=options)
    user = User(id=started.initiator_id, username="ada", display_name="Ada", role=Role.MEMBER, created_at=NOW)
    users = {user.id: user}

    def as_json() -> bytes:
        return msgspec.json.encode(resources.Interception.of(bson.decode(sent, options), users))

    yield Part("an interception as JSON", "interceptions", 1, as_json)
    yield Part(
        f"a page of {PAGE} interceptions as JSON", "pages", 1, lambda: b",".join([as_json() for _ in range(PAGE)])
    )


def signatures() -> Iterator[Part]:
    """The signature of a request for AWS, and before it the hash of the body."""
    keys = AwsKeys("AKIDEXAMPLE", "x" * 40, "t" * 800)
    headers = [("Host", "bedrock-runtime.us-east-1.amazonaws.com"), ("Content-Type", "application/json")]
    scope, body = Scope("us-east-1", "bedrock"), b"x" * 65536
    signed = partial(sign, "POST", "/model/m%3A0/invoke", headers, sha256(body).hexdigest(), keys=keys, scope=scope)
    yield Part("signature of a request for AWS", "requests", 1, partial(signed, at=NOW))
    yield Part("SHA-256 of its body", "MB", len(body) / 1e6, lambda: sha256(body).hexdigest())


def _call() -> tuple[Interception, Ending]:
    """The records of a call."""
    started = Interception(
        id=uuid4(),
        api_key_id="abcdefghij",
        initiator_id=UUID(int=1),
        provider="openai",
        provider_name="openai",
        route="/v1/responses",
        model="gpt-4o",
        streaming=True,
        client="Codex",
        client_session_id="session-1",
        user_agent="codex/1.0",
        credential_kind=CredentialKind.CENTRALIZED,
        credential_hint="sk-a...wxyz",
        started_at=NOW,
        user_prompt=UserPrompt(prompt=PROMPT),
    )
    reader = RESPONSES.body_reader()
    reader.feed(CONVERSATIONS["responses"].body)
    ended = Ending(
        interception_id=started.id,
        end_reason=EndReason.COMPLETED,
        ended_at=NOW,
        upstream_asked_at=NOW,
        first_byte_at=NOW,
        upstream_status=200,
        upstream_request_id="req_1",
        reading=reader.result(),
    )
    return started, ended


def table() -> str:
    """Measure everything, in Markdown."""
    parts = [*readers(), *parsers(), *limiters(), *codecs(), *responses(), *signatures()]
    return markdown(["part", "a second"], ((one.name, f"{short(one.rate())} {one.unit}") for one in parts))


def _fed(name: str, make: Callable[[], Decoder | Reader], pieces: Sequence[bytes]) -> Part:
    def feed() -> None:
        fed = make()
        for piece in pieces:
            fed.feed(piece)
        if not isinstance(fed, Decoder):
            fed.result()

    return Part(name, "MB", sum(map(len, pieces)) / 1e6, feed)


@click.command()
@click.option("--no-write", is_flag=True, help="Print the table, and leave the page as it is.")
def main(*, no_write: bool) -> None:
    """Measure the pure parts."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}.\n\n{table()}"
    print(found)
    if not no_write:
        write_section(SECTION, found)


if __name__ == "__main__":
    main()
