"""The kinds of request that the dashboard and programs make, each with the values that vary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from benchmarks.api.database import DAYS, FEWEST_PEOPLE, RARE_WORDS
from storage.demo.company import company

DEEP = 99_900
PAGE_MS, SUM_MS, WORDS_MS = 50, 100, 300

Parameters = dict[str, Any]

_KINDS = company().kinds.values()
_CLIENTS = [kind.client for kind in _KINDS]
_MODELS = sorted({model for kind in _KINDS for model in kind.models})


class Shape(NamedTuple):
    """One kind of request: its address and parameters, the milliseconds that 99 of 100 may take at most, and its caller."""

    name: str
    path: str
    parameters: Callable[[Random], Parameters]
    target_ms: int = PAGE_MS
    caller: str = "owner"


def _user(random: Random) -> str:
    return f"user:user-{random.randint(1, FEWEST_PEOPLE):04}"


def _model(random: Random) -> str:
    return f"model:{random.choice(_MODELS)}"


def _client(random: Random) -> str:
    return f'client:"{random.choice(_CLIENTS)}"'


def _week(random: Random) -> str:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=random.uniform(8, DAYS - 1))
    end = start + timedelta(days=7)
    return f'started_after:"{start:%Y-%m-%dT%H:%M:%SZ}" started_before:"{end:%Y-%m-%dT%H:%M:%SZ}"'


_FILTERS: dict[str, Callable[[Random], str]] = {
    "by user": _user,
    "by one user": lambda _: "user:user-0001",
    "by model": _model,
    "by client": _client,
    "by status": lambda random: f"status:{random.choice(('completed', 'failed'))}",
    "by one week": _week,
    "by model and client": lambda random: f"{_model(random)} {_client(random)}",
    "by client, status and week": lambda random: f"{_client(random)} status:failed {_week(random)}",
    "in flight": lambda _: "status:in_flight",
    "of a model that nobody uses": lambda _: "model:nobody-uses-it",
}
_WORDS: dict[str, Callable[[Random], str]] = {
    "for a word of most calls": lambda _: "word0",
    "for a rare word": lambda random: f"word{random.randrange(3_000, RARE_WORDS)}",
    "for two words and not a third": lambda random: f"word{random.randrange(200)} tests -word{random.randrange(50)}",
    "for a phrase of common words": lambda _: '"the nightly export"',
    "for a word, of one user": lambda random: f"{_user(random)} word{random.randrange(50)}",
    "by tool and cost": lambda _: "tool:Bash cost:>9.9",
    "by duration": lambda _: "took:>60s -model:gpt-5-mini",
}
_GROUPED: dict[str, Parameters] = {
    "user and model by cost, before": {"group_by": "user,model", "order_by": "cost", "compare": "previous"},
    "user by cost, page 5": {"group_by": "user", "order_by": "cost", "offset": 80},
    "model of one user": {"group_by": "model", "q": "user:user-0001"},
    "user of one model": {"group_by": "user", "q": f"model:{_MODELS[0]}"},
    "user and model, per day": {"group_by": "user,model", "order_by": "cost", "bucket": "day", "limit": 8},
    "user and model, per day in Berlin": {"group_by": "user,model", "bucket": "day", "limit": 8, "tz": "Europe/Berlin"},
    "user by p95": {"group_by": "user", "order_by": "p95"},
    "HTTP status": {"group_by": "http_status"},
    "error type, of failed calls": {"group_by": "error_type", "q": "status:failed"},
    "tool": {"group_by": "tool"},
    "project and model by cost": {"group_by": "tag.project,model", "order_by": "cost"},
    "user of sessions": {"of": "sessions", "group_by": "user", "order_by": "cost"},
}


def _q(make: Callable[[Random], str]) -> Callable[[Random], Parameters]:
    return lambda random: {"q": make(random)}


def _range(days: int, parameters: Parameters) -> Callable[[Random], Parameters]:
    """Whole hours, ending at any time of which as many days before are recorded."""

    def query(random: Random) -> Parameters:
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        end = hour - timedelta(days=random.randrange(DAYS - 2 * days + 1))
        times = {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("from", end - timedelta(days=days)), ("to", end))}
        return {"bucket": "all"} | parameters | times

    return query


def shapes(records: int) -> Iterator[Shape]:
    """Every kind, for a database with so many interceptions. With fewer of them, page 1,000 is nearer."""
    deep = {"offset": min(DEEP, records // 2)}
    for caller in ("owner", "member"):
        yield Shape(f"first page, {caller}", "/interceptions", lambda _: {}, caller=caller)
        yield Shape(f"page 1,000, {caller}", "/interceptions", lambda _: deep, caller=caller)
        yield Shape(f"sessions, {caller}", "/sessions", lambda _: {}, SUM_MS, caller)
    for name, make in _FILTERS.items():
        yield Shape(f"list {name}", "/interceptions", _q(make))
    for name, make in _WORDS.items():
        yield Shape(f"search {name}", "/interceptions", _q(make), WORDS_MS)
    for name in ("by user", "by model and client", "by one week"):
        yield Shape(f"sessions {name}", "/sessions", _q(_FILTERS[name]), SUM_MS)
    for name in ("models", "clients", "tags"):
        yield Shape(name, f"/{name}", lambda _: {}, SUM_MS)
    yield Shape("errors of 7 days", "/errors", lambda _: {}, SUM_MS)
    for days in (7, 30):
        for name, parameters in _GROUPED.items():
            yield Shape(f"groups of {days} days by {name}", "/stats", _range(days, parameters), SUM_MS)
