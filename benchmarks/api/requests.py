"""The kinds of request that dashboards make, each with the values that vary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from benchmarks.api.population import CLIENTS, DAYS, FEWEST_USERS, MODELS, Zipf
from benchmarks.api.shape import SUM_MS, WORDS_MS, Parameters, Shape
from benchmarks.api.views import views

DEEP = 99_900
_INTERCEPTIONS = "/interceptions"


def _nothing(_random: Random) -> Parameters:
    return {}


def _q(make: Callable[[Random], str]) -> Callable[[Random], Parameters]:
    return lambda random: {"q": make(random)}


def _behind(offset: int, parameters: Callable[[Random], Parameters]) -> Callable[[Random], Parameters]:
    return lambda random: parameters(random) | {"offset": offset}


def _user(random: Random) -> str:
    return f"initiator:user-{1 + Zipf(FEWEST_USERS).draw(random):04}"


def _model(random: Random) -> str:
    return f"model:{random.choice(MODELS)[1]}"


def _client(random: Random) -> str:
    return f'client:"{random.choice(CLIENTS)}"'


def _provider(random: Random) -> str:
    return f"provider:{random.choice(('openai', 'anthropic'))}"


def _status(random: Random) -> str:
    return f"status:{random.choice(('completed', 'failed'))}"


def _week(random: Random) -> str:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=random.uniform(8, DAYS - 1))
    end = start + timedelta(days=7)
    return f'started_after:"{start:%Y-%m-%dT%H:%M:%SZ}" started_before:"{end:%Y-%m-%dT%H:%M:%SZ}"'


def _all(*parts: Callable[[Random], str]) -> Callable[[Random], str]:
    return lambda random: " ".join(part(random) for part in parts)


def _fixed(text: str) -> Callable[[Random], str]:
    return lambda _random: text


_FILTERS: dict[str, Callable[[Random], str]] = {
    "by user": _user,
    "by the busiest user": _fixed("initiator:user-0001"),
    "by model": _model,
    "by client": _client,
    "by provider": _provider,
    "by status": _status,
    "by one week": _week,
    "by model and client": _all(_model, _client),
    "by user and model": _all(_user, _model),
    "by the busiest user and model": _all(_fixed("initiator:user-0001"), _model),
    "by client, status and week": _all(_client, _status, _week),
    "failed, of one user": _all(_user, _fixed("status:failed")),
    "in flight": _fixed("status:in_flight"),
    "of a model that nobody uses": _fixed("model:nobody-uses-it"),
    "by an unknown session": _fixed("session_id:unknown"),
    "by an unknown request id": _fixed("request_id:unknown"),
}


_WORDS: dict[str, Callable[[Random], str]] = {
    "for a word of most calls": _fixed("test"),
    "for a word of many calls": lambda random: f"word{random.randrange(20)}",
    "for a rare word": lambda random: f"word{random.randrange(3_000, 30_000)}",
    "for the password that somebody pasted": _fixed('"password is"'),
    "for two words and not a third": lambda random: f"word{random.randrange(200)} cache -word{random.randrange(50)}",
    "for a phrase of common words": _fixed('"the second run"'),
    "for a word, of one user": _all(_user, lambda random: f"word{random.randrange(50)}"),
    "for a word, failed, of one week": _all(_week, _fixed("status:failed warm")),
    "by tool and cost": _fixed("tool:Bash cost:>9.9"),
    "by duration": _fixed("took:>60s -model:gpt-5"),
    "by cache rate, of one client": _all(_client, _fixed("cache:<5%")),
}


def _stats(days: float, bucket: str, group_by: str | None) -> Callable[[Random], Parameters]:
    def parameters(random: Random) -> Parameters:
        end = datetime.now(UTC) - timedelta(
            days=random.uniform(0, max(0.0, (7 if bucket == "minute" else DAYS) - days))
        )
        start = end - timedelta(days=days)
        grouped = {} if group_by is None else {"group_by": group_by}
        return {"from": f"{start:%Y-%m-%dT%H:%M:%SZ}", "to": f"{end:%Y-%m-%dT%H:%M:%SZ}", "bucket": bucket, **grouped}

    return parameters


def _lists(deep: int) -> Iterator[Shape]:
    yield Shape("first page", _INTERCEPTIONS, _nothing)
    yield Shape("page 1,000 by offset", _INTERCEPTIONS, _behind(deep, _nothing))
    yield Shape("page 1,000 by after_id", _INTERCEPTIONS, _nothing, cursor={"offset": deep - 1, "limit": 1})
    for name, make in _FILTERS.items():
        yield Shape(f"list {name}", _INTERCEPTIONS, _q(make))
    for name, make in _WORDS.items():
        yield Shape(f"search {name}", _INTERCEPTIONS, _q(make), target_ms=WORDS_MS)
    yield Shape(
        "busiest user, search for a word", _INTERCEPTIONS, _q(_fixed("word7")), caller="member", target_ms=WORDS_MS
    )
    for name in ("by model", "by status", "by provider"):
        yield Shape(f"list {name}, deep offset", _INTERCEPTIONS, _behind(5_000, _q(_FILTERS[name])))
    yield Shape("busiest user, page 1,000 by offset", _INTERCEPTIONS, _behind(deep, _nothing), caller="member")
    yield Shape("busiest user, first page", _INTERCEPTIONS, _nothing, caller="member")
    yield Shape("one interception", _INTERCEPTIONS, _nothing, cursor={"limit": 1, "as": ("path",)})


def _sessions(deep: int) -> Iterator[Shape]:
    # Their number is counted in the index with every page.
    make = partial(Shape, target_ms=SUM_MS)
    yield make("sessions, first page", "/sessions", _nothing)
    yield make("sessions, page 500 by offset", "/sessions", _behind(deep, _nothing))
    yield make(
        "sessions, page 500 by after_session_id",
        "/sessions",
        _nothing,
        cursor={"offset": deep - 1, "limit": 1, "as": ("after_session_id",)},
    )
    for name in (
        "by user",
        "by the busiest user",
        "by model",
        "by client",
        "by provider",
        "by one week",
        "by model and client",
    ):
        yield make(f"sessions {name}", "/sessions", _q(_FILTERS[name]))
    yield make("sessions of the busiest user", "/sessions", _nothing, caller="member")
    yield make("one session", "/sessions", _nothing, cursor={"limit": 1, "as": ("path",)})


def _sums() -> Iterator[Shape]:
    make = partial(Shape, target_ms=SUM_MS)
    for caller in ("owner", "member"):
        for name in ("models", "clients", "providers", "tags"):
            yield make(f"{name}, {caller}", f"/{name}", _nothing, caller=caller)
        for group_by in (None, "model", "provider", "client", "initiator", "token"):
            for days, bucket in ((1 / 24, "minute"), (1, "hour"), (7, "hour"), (DAYS, "day")):
                span = (
                    "60 days"
                    if days == DAYS
                    else f"{days:.0f} days"
                    if days > 1
                    else "1 day"
                    if days == 1
                    else "1 hour"
                )
                yield make(
                    f"stats of {span} per {bucket} by {group_by or 'nothing'}, {caller}",
                    "/stats",
                    _stats(days, bucket, group_by),
                    caller=caller,
                )


_GROUPED: dict[str, Parameters] = {
    "user and model by cost": {"group_by": "user,model", "order_by": "cost"},
    "user and model by cost, before": {"group_by": "user,model", "order_by": "cost", "compare": "previous"},
    "user by cost, page 5": {"group_by": "user", "order_by": "cost", "offset": 80},
    "model and client": {"group_by": "model,client"},
    "model of one user": {"group_by": "model", "q": "initiator:user-0001"},
    "user of one model": {"group_by": "user", "q": "model:claude-sonnet-4-5"},
    "user and model, per day": {"group_by": "user,model", "order_by": "cost", "bucket": "day", "limit": 8},
    "user and model, per day in Berlin": {"group_by": "user,model", "bucket": "day", "limit": 8, "tz": "Europe/Berlin"},
    "user by p95": {"group_by": "user", "order_by": "p95"},
}
_BY_DETAILS: dict[str, Parameters] = {
    "HTTP status": {"group_by": "http_status"},
    "end reason, before": {"group_by": "end_reason", "compare": "previous"},
    "error type, of failed calls": {"group_by": "error_type", "q": "status:failed"},
    "model and error type, of failed calls": {"group_by": "model,error_type", "q": "status:failed"},
    "user and HTTP status": {"group_by": "user,http_status"},
    "tool": {"group_by": "tool"},
    "tool, per day": {"group_by": "tool", "bucket": "day"},
    "model, of one tool": {"group_by": "model", "q": "tool:Read"},
    "project": {"group_by": "tag.project", "order_by": "cost"},
    "project and model by cost": {"group_by": "tag.project,model", "order_by": "cost"},
    "user by cost, of one project": {"group_by": "user", "order_by": "cost", "q": "tag:project=project-1"},
    "rule of refusals": {"of": "refusals", "group_by": "rule"},
    "user of sessions": {"of": "sessions", "group_by": "user", "order_by": "cost"},
    "model of sessions, per day": {"of": "sessions", "group_by": "model", "bucket": "day"},
}
# Of these, rollups do not tell.
_OF_RECORDS: dict[str, Parameters] = {
    "session": {"group_by": "session"},
    "client and tool": {"group_by": "client,tool"},
}


def _of_latest() -> Iterator[Shape]:
    make = partial(Shape, parameters=_nothing, target_ms=SUM_MS)
    yield make("errors of 7 days", "/errors")
    yield make("how providers fare", "/providers/performance")
    yield make("how one provider fares", "/providers/openai/usage")


def _groups() -> Iterator[Shape]:
    for days in (7, 30):
        for name, parameters in _GROUPED.items():
            yield Shape(f"groups of {days} days by {name}", "/stats", _in_days(days, parameters), target_ms=SUM_MS)
    for name, parameters in _BY_DETAILS.items():
        yield Shape(f"groups of 30 days by {name}", "/stats", _in_days(30, parameters), target_ms=SUM_MS)
    for name, parameters in _OF_RECORDS.items():
        yield Shape(f"groups of 1 day by {name}", "/stats", _in_days(1, parameters), target_ms=SUM_MS)


def _in_days(days: int, parameters: Parameters) -> Callable[[Random], Parameters]:
    def query(random: Random) -> Parameters:
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(
            days=random.randrange(DAYS - 2 * days + 1)
        )
        times = {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("from", end - timedelta(days=days)), ("to", end))}
        return {"bucket": "all"} | parameters | times

    return query


def shapes(records: int) -> tuple[Shape, ...]:
    """Every kind, for a database with so many interceptions. With fewer of them, page 1,000 is nearer."""
    return (
        *_lists(min(DEEP, records // 2)),
        *_sessions(min(DEEP // 2, records // 20)),
        *_sums(),
        *_of_latest(),
        *_groups(),
        *views(),
    )
