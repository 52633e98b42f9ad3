"""The requests of the dashboard's views, with the parameters that they send. Ranges end now, as on the page by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from benchmarks.api.population import MODELS, PROJECTS
from benchmarks.api.shape import PAGE_MS, SUM_MS, WORDS_MS, Parameters, Shape

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_PAGE, _IN_CHART = 50, 7
_AT_ONCE_DAYS = 7
"""Errors of more days than these are read in parts."""

_BERLIN = "Europe/Berlin"
_SORTED_BY = ("", "last_active", "cost", "lost", "failed", "calls")
_USUAL = {
    "a model": lambda random: f"model:{random.choice(MODELS)[1]}",
    "the busiest user": lambda _random: "initiator:user-0001",
    "failed calls": lambda _random: "status:failed",
    "a project": lambda random: f"tag:project={random.choice(PROJECTS)}",
    "a tool": lambda _random: "tool:Read",
    "a project of a client": lambda random: f"client:Codex tag:project={random.choice(PROJECTS)}",
}
"""Searches by what totals tell, most of them."""

_READ_ONE_BY_ONE = {"a tool", "a project of a client"}
"""Totals alone do not have their results."""

_RARE = {
    "long calls": lambda random: f"took:>{random.randrange(10, 60)}s",
    "a bad prompt cache": lambda random: f"cache:<{random.randrange(2, 50)}%",
    "dear calls": lambda random: f"cost:>{random.randrange(1, 99) / 1000:.3f}",
    "many tokens": lambda random: f"tokens:>{random.randrange(50, 90)}000",
}
"""Searches by figures, which records alone tell."""

_WORDS = {"a rare word": "word29000", "a word of many calls": "word19", "a phrase": '"the second run"'}
"""Searches for words, which the search index finds."""


def _fixed(text: str) -> Callable[[Random], str]:
    return lambda _random: text


def _ceil(at: datetime) -> datetime:
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + _HOUR


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.000Z}"


def _query(make: Callable[[datetime], Parameters], **others: str | int) -> Callable[[Random], Parameters]:
    """The parameters at this moment."""
    return lambda _random: make(datetime.now(UTC)) | others


def _searched(
    query: Callable[[Random], Parameters], q: Callable[[Random], str], *before: str
) -> Callable[[Random], Parameters]:
    return lambda random: query(random) | {"q": " ".join((*before, q(random)))}


def _overview(days: int, bucket: str) -> Callable[[datetime], Parameters]:
    step = _DAY if bucket == "day" else _HOUR

    def query(now: datetime) -> Parameters:
        start = now - days * _DAY
        hour = 0 if bucket == "day" else start.hour
        floor = start.replace(hour=hour, minute=0, second=0, microsecond=0)
        return {"from": _iso(floor + step), "bucket": bucket, "format": "series"}

    return query


def _explore(days: int) -> Callable[[datetime], Parameters]:
    def query(now: datetime) -> Parameters:
        return {"from": _iso(_ceil(now) - days * _DAY), "to": _iso(_ceil(now)), "order_by": "cost"}

    return query


def _since(days: int) -> Callable[[datetime], Parameters]:
    return lambda now: {"q": f'started_after:"{_iso(now - days * _DAY)}"'}


def _of_overview() -> Iterator[Shape]:
    make = partial(Shape, path="/stats", target_ms=SUM_MS)
    for span, days, bucket in (("24 hours", 1, "hour"), ("7 days", 7, "hour"), ("30 days", 30, "day")):
        query = partial(_query, _overview(days, bucket))
        whole = query(compare="previous")
        cache = _query(_overview(days, bucket), bucket="all", format="")
        yield make(f"Overview, {span}, cache", parameters=cache)
        yield make(f"Overview, {span}", parameters=whole)
        for by in ("model", "client", "initiator", "group", "token"):
            yield make(f"Overview, {span}, split by {by}", parameters=query(group_by=by))
        yield make(f"Overview, {span}, of a member", parameters=whole, caller="member")
        yield make(
            f"Overview, {span}, of a member, split by model", parameters=query(group_by="model"), caller="member"
        )
    for name, q in _USUAL.items():
        has_progress = name in _READ_ONE_BY_ONE
        for what, parameters in (("", {"compare": "previous"}), (", split by model", {"group_by": "model"})):
            found = _searched(_query(_overview(7, "hour"), **parameters), q)
            yield make(f"Overview, 7 days of {name}{what}", parameters=found, has_progress=has_progress)
    for name, q in _RARE.items():
        found = _searched(_query(_overview(1, "hour"), compare="previous"), q)
        yield make(f"Overview, 24 hours of {name}", parameters=found, has_progress=True)


def _of_explore() -> Iterator[Shape]:
    make = partial(Shape, path="/stats", target_ms=SUM_MS)
    table: dict[str, str | int] = {"bucket": "all", "limit": _PAGE, "compare": "previous"}
    for span, days, bucket in (("24 hours", 1, "hour"), ("7 days", 7, "day"), ("30 days", 30, "day")):
        drawn: dict[str, str | int] = {"bucket": bucket, "limit": _IN_CHART}
        query = partial(_query, _explore(days), group_by="user,model")
        yield make(f"Explore, {span}", parameters=query(**table))
        yield make(f"Explore, {span}, chart", parameters=query(**drawn))
        yield make(f"Explore, {span}, chart in Berlin", parameters=query(**drawn, tz=_BERLIN))
        yield make(f"Explore, {span}, slowest first", parameters=query(**table, order_by="p95"))
        yield make(f"Explore, {span}, by cache rate", parameters=query(**table, order_by="cache"))
        yield make(f"Explore, {span}, by change", parameters=query(**table, order_by="change"))
        for by in ("user", "model", "model,client", "tag.project", "tag.project,model", "http_status", "tool", "token"):
            yield make(f"Explore, {span}, by {by}", parameters=_query(_explore(days), group_by=by, **table))
        yield make(
            f"Explore, {span}, of a member",
            parameters=_query(_explore(days), group_by="model", **table),
            caller="member",
        )
    for name, q in _USUAL.items():
        found = _searched(_query(_explore(7), group_by="user", **table), q)
        yield make(f"Explore, 7 days of {name}", parameters=found, has_progress=name in _READ_ONE_BY_ONE)
    for name, q in _RARE.items():
        found = _searched(_query(_explore(1), group_by="user,model", **table), q)
        yield make(f"Explore, 24 hours of {name}", parameters=found, has_progress=True)
    for name, words in _WORDS.items():
        found = _searched(_query(_explore(7), group_by="user,model", **table), _fixed(words))
        yield make(f"Explore, 7 days of {name}", parameters=found, has_progress=True)
    yield make(
        "Explore, 24 hours, by session", parameters=_query(_explore(1), group_by="session", **table), has_progress=True
    )
    of_sessions = partial(_query, _explore(7), of="sessions", bucket="all", limit=_PAGE)
    yield make("sessions of 7 days, by user", parameters=of_sessions(group_by="user"), has_progress=True)
    before = of_sessions(group_by="model", compare="previous")
    yield make("sessions of 7 days, by model, before", parameters=before, has_progress=True)
    of_refusals = partial(_query, lambda now: _explore(7)(now) | {"order_by": "calls"}, of="refusals", limit=_PAGE)
    yield make("refusals of 7 days, by rule, per day", parameters=of_refusals(group_by="rule", bucket="day"))
    yield make("refusals of 7 days, by user and rule", parameters=of_refusals(group_by="user,rule", bucket="all"))
    yield make("refusals of 7 days, by model", parameters=of_refusals(group_by="model", bucket="all"))


def _of_lists() -> Iterator[Shape]:
    several: dict[str, str | int] = {"several": "true", "limit": _PAGE}
    for order in _SORTED_BY:
        by = order or "start"
        query = _query(lambda _now: {}, **several, order_by=order)
        yield Shape(f"Sessions by {by}", "/sessions", query, target_ms=SUM_MS)
        yield Shape(
            f"Sessions by {by}, of a model",
            "/sessions",
            _searched(query, _USUAL["a model"]),
            target_ms=SUM_MS,
        )
        yield Shape(
            f"Sessions by {by}, of 7 days", "/sessions", _query(_since(7), **several, order_by=order), target_ms=SUM_MS
        )
        yield Shape(f"Sessions by {by}, of a member", "/sessions", query, target_ms=SUM_MS, caller="member")
    for name, words in {**_WORDS, "a tool": "tool:Bash"}.items():
        found = _searched(_query(lambda _now: {}, **several), _fixed(words))
        yield Shape(f"Sessions by start, of {name}", "/sessions", found, target_ms=WORDS_MS)
    calls = _query(lambda _now: {}, limit=_PAGE)
    yield Shape("Calls", "/interceptions", calls)
    for name, q in _USUAL.items():
        yield Shape(f"Calls, {name}", "/interceptions", _searched(calls, q), target_ms=WORDS_MS)
    for name, q in _RARE.items():
        yield Shape(f"Calls, {name}", "/interceptions", _searched(calls, q), target_ms=WORDS_MS)
    for days in (1, 7, 30):
        query = _query(_since(days), **{"from": "1970-01-01T00:00:00Z"}, limit=_PAGE)
        yield Shape(f"Errors, {days} days", "/errors", query, target_ms=SUM_MS, has_progress=days > _AT_ONCE_DAYS)
    yield Shape("Refused calls", "/refusals", _query(lambda _now: {}, limit=100), target_ms=PAGE_MS)


def _of_others() -> Iterator[Shape]:
    make = partial(Shape, target_ms=SUM_MS)
    day = partial(_query, lambda now: {"from": _iso(_ceil(now) - _DAY), "to": _iso(_ceil(now))})
    yield make("Providers", "/stats", day(group_by="provider", bucket="all", limit=1_000))
    yield make("Providers, how they fare", "/providers/performance", day())
    yield make("A provider", "/providers/openai/usage", day())
    yield make("My usage", "/users/me/usage", _query(lambda _now: {}), caller="member")
    yield make("What a user uses", "/users/user-0001/usage", day())
    month = partial(_query, lambda now: {"from": _iso(now.replace(day=1, hour=0, minute=0, second=0))})
    yield make("Groups", "/stats", month(bucket="all", group_by="group", order_by="cost", limit=1_000))


def views() -> Iterator[Shape]:
    """Every kind of request of every view."""
    for kinds in (_of_overview(), _of_explore(), _of_lists(), _of_others()):
        for one in kinds:
            yield one.named(f"view: {one.name}")
