"""Figures of cells as the API shows them. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intercept.records import EndReason
from storage.aggregation.cells import TOKENS
from storage.aggregation.histograms import quantiles

_FAILURES = {f"ends.{reason}": reason.value for reason in EndReason if reason is not EndReason.COMPLETED}


def shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Show figures, see `storage.aggregation.cells`, as the API does."""
    get = figures.get
    return {
        "interceptions": get("interceptions", 0),
        "completed": get("completed", 0),
        "failures": {reason: number for name, reason in _FAILURES.items() if (number := get(name))},
        "token_usage": {name: get(name, 0) for name in TOKENS},
        "cost_usd": float(get("cost", 0)) if get("priced") else None,
        "unpriced": get("unpriced", 0),
        "no_usage": get("no_usage", 0),
        "duration_ms": _percentiles(get("durations", 0)),
        "first_byte_ms": _percentiles(get("first_bytes", 0)),
    }


def _percentiles(histogram: int) -> dict[str, float] | None:
    found = quantiles(histogram, (0.5, 0.95, 0.99))
    return None if found is None else {"p50": found[0], "p95": found[1], "p99": found[2]}
