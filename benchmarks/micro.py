"""Measure the pure parts alone, on one core, to compare a change.

    .venv/bin/python -m benchmarks.micro

Each is repeated for a while, several times. The fastest time is shown: slower ones were disturbed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from time import monotonic_ns, perf_counter
from typing import NamedTuple

from benchmarks.report import machine, markdown, short
from benchmarks.stand.conversations import CONVERSATIONS, CallSpec
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES
from storage.prices.pricing import Prices

REPEATS, SECONDS = 5, 0.2
EVENTS = 100
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class TimedPart(NamedTuple):
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


def dialects() -> Iterator[TimedPart]:
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

            yield TimedPart(f"reader of {what}, `{name}`", "MB", sum(map(len, pieces)) / 1e6, feed)
        yield TimedPart(f"parser of requests, `{name}`", "requests", 1, partial(api.parse_request, body))


def prices() -> Iterator[TimedPart]:
    """What a call costs."""
    reader = CHAT_COMPLETIONS.body_reader()
    reader.feed(CONVERSATIONS["chat"].body)
    table, used = Prices({"openai": ("openai", "https://api.openai.com/v1/")}), reader.result().token_usages
    yield TimedPart("price of a call", "calls", 1, lambda: table.cost("openai", "gpt-4o", used, NOW))


def table() -> str:
    """Measure everything, in Markdown."""
    parts = [*dialects(), *prices()]
    return markdown(["part", "a second"], ((one.name, f"{short(one.rate())} {one.unit}") for one in parts))


def main() -> None:
    """Measure the pure parts."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, Python {platform.python_version()}.\n\n{table()}"
    print(found)


if __name__ == "__main__":
    main()
