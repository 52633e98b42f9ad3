"""The figures of a call: numbers that are worked out once, when it ends, and stored beside what they are made of. Pure.

They are fields at the top level of the document of a call that has ended, true or presumed:

- `input_tokens`, `output_tokens`, `cache_read_input_tokens` and `cache_write_input_tokens`: the sums of its usages, at most
  `MAX_TOKENS` each; `tokens`: the sum of these, absent where it has no usage;
- `cache_share`: which share of its input was read from the prompt cache, from 0 to 1; absent without input;
- `input_cost`, `output_cost`, `read_cost`, `written_cost` and `saved`: US dollars, decimals; absent where it is zero or
  its cost has no rates;
- `priced`: it has a cost; `unpriced`: it used tokens and has none; `no_usage`: it has no usage, and its API is one that costs;
- `took`, `first_byte` and `bridge`: whole milliseconds from its start to its end, to the first byte of the response, and to the
  request to the provider; absent where one of the times is unknown;
- `speed`: tokens of output a second, of a stream that was completed, from its first byte on; absent where it is unknown;
- `buckets`: the buckets of `durations`, `first_bytes`, `bridges` and `speeds` in histograms, as far as they are known, see
  `storage.derived.histograms`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from bson.decimal128 import Decimal128

from intercept.records import EndReason
from storage.derived.histograms import GROWTH, LAST_BUCKET
from storage.derived.rollup import KINDS, TOKENS
from storage.mongo.codec import EXACT, read_decimal, write_decimal, write_ms
from storage.prices.pricing import MAX_TOKENS

COST_PARTS: Final = (*KINDS, "saved")
"""The figures in US dollars."""

FIGURES_OF_SOME: Final = ("tokens", "cache_share", *COST_PARTS, "took", "first_byte", "bridge", "speed")
"""The figures that are not known of every call."""

_TIMES: Final = (
    ("took", "durations", "ended_at"),
    ("first_byte", "first_bytes", "first_byte_at"),
    ("bridge", "bridges", "upstream_asked_at"),
)
_LN_GROWTH: Final = math.log(GROWTH)


def figures_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a call that has ended."""
    return {**cost_figures_of(document), **_time_figures_of(document)}


def cost_figures_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures about tokens and cost, which need no more than `token_usages`, `cost` and `billed`."""
    usages, cost = document.get("token_usages") or (), document.get("cost")
    figures: dict[str, Any] = {name: _sum_of(usages, name) for name in TOKENS}
    plain, output, read, written = figures.values()
    total, prompt = plain + output + read + written, plain + read + written
    if usages:
        figures["tokens"] = total
    if prompt:
        figures["cache_share"] = read / prompt
    figures["priced"] = cost is not None
    figures["unpriced"] = cost is None and total > 0
    figures["no_usage"] = not usages and document.get("billed") is not False
    if cost is not None and (rates := cost.get("rates")):
        figures |= _cost_parts(cost["usd"], rates, plain, read, written)
    return figures


def _sum_of(usages: Any, name: str) -> int:
    return max(0, min(MAX_TOKENS, sum([usage.get(name) or 0 for usage in usages])))


def _cost_parts(
    usd: Decimal128, rates: Mapping[str, str], plain: int, read: int, written: int
) -> dict[str, Decimal128]:
    of_input, of_read, of_written = (Decimal(rates[name]) for name in ("input", "read", "written"))
    multiply, subtract, add = EXACT.multiply, EXACT.subtract, EXACT.add
    parts: dict[str, Decimal] = {
        "input_cost": multiply(plain, of_input),
        "read_cost": multiply(read, of_read),
        "written_cost": multiply(written, of_written),
        "saved": multiply(read, subtract(of_input, of_read)),
    }
    of_prompt = add(add(parts["input_cost"], parts["read_cost"]), parts["written_cost"])
    parts["output_cost"] = subtract(read_decimal(usd), of_prompt)
    return {name: write_decimal(number) for name, number in parts.items() if number}


def _time_figures_of(document: Mapping[str, Any]) -> dict[str, Any]:
    began = write_ms(document["started_at"])
    figures: dict[str, Any] = {}
    buckets: dict[str, int] = {}
    for name, histogram, field in _TIMES:
        if (at := document.get(field)) is not None:
            figures[name] = write_ms(at) - began
            buckets[histogram] = bucket_of(figures[name])
    if (speed := _speed(document)) is not None:
        figures["speed"] = speed
        buckets["speeds"] = bucket_of(math.floor(speed))
    figures["buckets"] = buckets
    return figures


def _speed(document: Mapping[str, Any]) -> float | None:
    first_byte_at: datetime | None = document.get("first_byte_at")
    is_whole = document.get("streaming") and document.get("end_reason") == EndReason.COMPLETED
    if not is_whole or first_byte_at is None:
        return None
    streamed = write_ms(document["ended_at"]) - write_ms(first_byte_at)
    tokens = _sum_of(document.get("token_usages") or (), "output_tokens")
    return tokens * 1000 / streamed if streamed > 0 and tokens > 0 else None


def bucket_of(number: int) -> int:
    """Return the bucket of whole milliseconds, or of whole tokens a second, in a histogram."""
    return 0 if number <= 1 else min(math.ceil(math.log(number) / _LN_GROWTH), LAST_BUCKET)
