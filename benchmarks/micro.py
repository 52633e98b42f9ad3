"""Measure the pure parts alone, on one core, to compare a change.

    .venv/bin/python -m benchmarks.micro [--no-write]

Each is repeated for a while, several times. The fastest time is shown: slower ones were disturbed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from time import monotonic_ns, perf_counter
from typing import NamedTuple
from uuid import UUID, uuid4

import click

from benchmarks.report import machine, markdown, short, write_section
from benchmarks.stand.conversations import CONVERSATIONS, PROMPT, CallSpec
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES
from intercept.records import CredentialKind, Ending, EndReason, Interception, UserPrompt
from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of
from limits.limiter import Limiter
from storage.costs.prices import Prices
from storage.recording.documents import ending_fields, start_document

SECTION = "figures of make bench-micro"
REPEATS, SECONDS = 5, 0.2
EVENTS = 100
NOW = datetime(2026, 3, 1, tzinfo=UTC)


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


def dialects() -> Iterator[Part]:
    """The readers of requests, of streams in one piece for each event, and of bodies in one piece."""
    for name, api in (("chat", CHAT_COMPLETIONS), ("messages", MESSAGES)):
        one = CONVERSATIONS[name]
        stream = [one.opening, *[one.event % monotonic_ns()] * EVENTS, one.closing]
        body = CallSpec(name).request_body()
        for what, make, pieces in (("streams", api.stream_reader, stream), ("bodies", api.body_reader, [one.body])):

            def feed(make=make, pieces=pieces) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
                reader = make()
                for piece in pieces:
                    reader.feed(piece)
                reader.result()

            yield Part(f"reader of {what}, `{name}`", "MB", sum(map(len, pieces)) / 1e6, feed)
        yield Part(f"parser of requests, `{name}`", "requests", 1, partial(api.parse_request, body))


def limiters() -> Iterator[Part]:
    """A limiter, for a request that is admitted."""
    limiter = Limiter(count(0, 200_000).__next__)
    limits = (
        Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:t", 10_000, 1_000_000_000),
        Limit(Kind.CONCURRENCY, Rule.USER_CONCURRENCY, Of.USER, "user:u", 1000),
        Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", 10**9, 60_000_000_000),
    )

    def decide(number: int) -> None:
        decision = limiter.start(limits[:number])
        assert decision.ticket is not None
        limiter.end(decision.ticket)

    for number in (1, len(limits)):
        yield Part(f"a limiter: {number} limits", "decisions", 1, partial(decide, number))


def records() -> Iterator[Part]:
    """The steps from a call to a record."""
    started = Interception(
        id=uuid4(),
        api_key_id="abcdefghij",
        initiator_id=UUID(int=1),
        provider="openai",
        provider_name="openai",
        route="/v1/chat/completions",
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
    reader = CHAT_COMPLETIONS.body_reader()
    reader.feed(CONVERSATIONS["chat"].body)
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
    prices, used = Prices({"openai": ("openai", "https://api.openai.com/v1/")}), ended.reading.token_usages
    yield Part("price of a call", "calls", 1, lambda: prices.cost("openai", started.model, used, NOW))
    begin = partial(start_document, started, instance_id=started.id, new_id=uuid4)
    yield Part("document of a start", "documents", 1, begin)
    yield Part("document of an end", "documents", 1, partial(ending_fields, ended, new_id=uuid4))


def table() -> str:
    """Measure everything, in Markdown."""
    parts = [*dialects(), *limiters(), *records()]
    return markdown(["part", "a second"], ((one.name, f"{short(one.rate())} {one.unit}") for one in parts))


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
