"""What calls cost and use, by names that people know. Bounded in the number of time series; the rest is `other`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from prometheus_client import Counter

from handlers.operation.metric_names import OTHER, BoundedNames
from intercept.records import TokenUsage

SPENDERS_KEPT: Final = 1_000
"""Distinct users with their groups and a model that have time series of their own at a time."""

SPENDERS_EVER: Final = 4_000


def counts_of(usage: TokenUsage) -> Iterator[tuple[str, int]]:
    """Yield the reported counts of tokens, by the label of each."""
    for kind, count in (
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cache_read_input", usage.cache_read_input_tokens),
        ("cache_write_input", usage.cache_write_input_tokens),
    ):
        if count is not None:
            yield kind, count


class SpendingMetrics:
    """Counts dollars and tokens.

    Args:
        counter: Makes a counter of a name, a help text and the names of its labels.
    """

    def __init__(self, counter: Callable[[str, str, str], Callable[..., Counter]]) -> None:
        self._cost = counter(
            "cost_usd", "US dollars that recorded calls cost, where they have a price.", "provider model user group"
        )
        self._tokens = counter("spent_tokens", "Tokens recorded, by names.", "model type user group")
        self._spenders = BoundedNames(SPENDERS_KEPT, SPENDERS_EVER)

    def count(
        self, labels: tuple[str, str], by: tuple[str, str], usd: Decimal | None, usages: Sequence[TokenUsage]
    ) -> None:
        """Count a call, by its provider and its model and by the names of its user and of the user's groups."""
        model = labels[1]
        spender = "\0".join((model, *by))
        self._spenders.used(spender)
        if self._spenders(spender) != spender:
            by = OTHER, OTHER
        if usd is not None:
            self._cost(*labels, *by).inc(float(usd))
        for usage in usages:
            for kind, number in counts_of(usage):
                self._tokens(model, kind, *by).inc(number)
