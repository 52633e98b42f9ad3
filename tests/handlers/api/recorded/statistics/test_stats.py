"""The statistics of real records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.api.recorded.statistics import stats as stats_module
from handlers.api.recorded.statistics.group_request import MAX_BUCKETS
from handlers.api.recorded.statistics.stats import PARAMETERS, parse_query
from handlers.problems import ValidationProblem
from storage.accounts.users import Role
from storage.aggregation.rollup import Bucket, GroupBy
from storage.aggregation.rollup_job import RollupJob
from storage.queries import statistics
from storage.queries.statistics import StatsQuery
from tests.cases import for_each
from tests.handlers.api.calls import record

STATS = "/api/v2/aibridge/stats"
NOW = datetime(2026, 3, 5, 12, 30, 15, tzinfo=UTC)
INVALID = "Query parameters have invalid values."
NOT_A_TIME = 'must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'


def at(day, hour=0, minute=0):
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@for_each(
    ("values", "query"),
    [
        ({}, StatsQuery(at(4, 12), at(5, 13), Bucket.HOUR)),
        ({"from": "", "bucket": "", "group_by": ""}, StatsQuery(at(4, 12), at(5, 13), Bucket.HOUR)),
        ({"bucket": "day", "group_by": "model"}, StatsQuery(at(4), at(6), Bucket.DAY, GroupBy.MODEL)),
        (
            {"from": "2026-03-05T12:30:15Z", "to": "2026-03-05T12:30:16Z", "bucket": "minute"},
            StatsQuery(at(5, 12, 30), at(5, 12, 31), Bucket.MINUTE),
        ),
        ({"to": "2026-03-01T02:00:00+02:00"}, StatsQuery(datetime(2026, 2, 28, tzinfo=UTC), at(1), Bucket.HOUR)),
        (
            {"from": "2022-01-27T00:00:00Z", "bucket": "day"},
            StatsQuery(datetime(2022, 1, 27, tzinfo=UTC), at(6), Bucket.DAY),
        ),
        (
            {"format": "series", "q": "model:a", "compare": "previous", "group_by": "token"},
            StatsQuery(at(4, 12), at(5, 13), Bucket.HOUR, GroupBy.TOKEN, compare=True),
        ),
    ],
)
def test_times_become_whole_buckets(values, query):
    assert parse_query(values, NOW) == query


@for_each(
    ("values", "problems"),
    [
        (
            {"from": "yesterday", "to": "5", "bucket": "year", "group_by": "nobody"},
            [
                ("bucket", "must be one of minute, hour, day, week, month, all"),
                ("group_by", "must be one of model, provider, client, initiator, group, token"),
                ("to", NOT_A_TIME),
                ("from", NOT_A_TIME),
            ],
        ),
        ({"from": "2026-03-05T12:00:00Z", "to": "2026-03-05T12:00:00Z"}, [("to", "must be after from")]),
        ({"from": "2026-03-05T12:20:00Z", "to": "2026-03-05T12:10:00Z"}, [("to", "must be after from")]),
        ({"from": "2027-03-05T12:20:00Z"}, [("to", "must be after from")]),
        ({"from": "2026-01-01T00:00:00Z"}, [("bucket", "the range has more than 1,500 buckets")]),
        (
            {"from": "2026-02-26T12:28:00Z", "to": "2026-02-26T13:00:00Z", "bucket": "minute"},
            [("from", "minutes are kept for 7 days; choose a longer bucket")],
        ),
        (
            {"from": "2026-02-26T13:00:00Z", "to": "2026-02-26T14:00:00Z", "bucket": "minute", "compare": "previous"},
            [("from", "minutes, also of the time before, are kept for 7 days; choose a longer bucket")],
        ),
        (
            {"format": "series", "bucket": "week", "limit": "5", "tz": "UTC", "compare": "next", "group_by": "tool"},
            [
                ("bucket", "must be one of minute, hour, day"),
                ("group_by", "must be one of model, provider, client, initiator, group, token"),
                ("compare", "must be previous"),
                ("limit", "is of groups; series do not take it"),
                ("tz", "is of groups; series do not take it"),
            ],
        ),
        (
            {"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z", "compare": "previous"},
            [("to", "is out of range")],
        ),
        ({"to": "9999-12-31T23:59:59Z"}, [("to", "is out of range")]),
        ({"to": "0001-01-01T01:00:00Z"}, [("to", "is out of range")]),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(values, problems):
    with pytest.raises(ValidationProblem) as refused:
        parse_query(values, NOW)
    assert (refused.value.message, list(refused.value.validations)) == (INVALID, problems)


times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
words = st.sampled_from([*Bucket, *GroupBy, "series", "previous"])
texts = st.one_of(times.map(lambda time: time.isoformat()), words, st.text(max_size=30))


@given(st.dictionaries(st.sampled_from(PARAMETERS), texts))
def test_any_values_are_a_bounded_question_or_are_refused(values):
    try:
        query = parse_query(values, NOW)
    except ValidationProblem:
        return
    length = query.bucket.length
    assert 1 <= (query.end - query.start) / length <= MAX_BUCKETS
    for time in (query.start, query.end, *([query.previous.start] if query.compare else [])):
        assert query.bucket.floor(time) == time


async def counted(running):
    await RollupJob(running.bridge.database, now=running.bridge.now).add_pending()


async def stats(running, headers=None, **parameters):
    status, response = await running.get(f"{STATS}?{urlencode(parameters)}", headers)
    assert status == 200, response
    return response


@pytest.mark.gen_test
async def test_statistics_are_of_what_was_recorded_and_refused_also_by_a_search(running):
    # statistics are of what was recorded
    await record(running)
    await record(running, fails=True)
    await counted(running)
    await record(running)
    response = await stats(running)
    (series,) = response.pop("series")
    assert response.pop("from") < response.pop("to")
    refusals = {"total": 0, "rules": {}, "initiators": [], "points": []}
    assert response == {"bucket": "hour", "group_by": None, "uncounted": 1, "refusals": refusals}
    total, points = series.pop("total"), series.pop("points")
    assert series == {"group": None, "other": False}
    for name in ("duration_ms", "first_byte_ms"):
        figures = total.pop(name)
        assert 0 < figures["p50"] <= figures["p95"] <= figures["p99"]
    assert total == {
        "interceptions": 2,
        "completed": 1,
        "failures": {"upstream_error": 1},
        "token_usage": total["token_usage"],
        "cost_usd": total["cost_usd"],
        "cost_micro_usd": round(total["cost_usd"] * 1_000_000),
        "unpriced": total["unpriced"],
        "no_usage": 1,
    }
    _, listed = await running.get("/api/v2/aibridge/interceptions?q=status:completed")
    (usage,) = listed["results"][0]["token_usages"]
    assert total["token_usage"] == {name: usage[name] or 0 for name in total["token_usage"]}
    assert sum(point["interceptions"] for point in points) == 2
    assert all(answer_at.endswith(":00:00.000Z") for answer_at in (point["at"] for point in points))
    await running.afresh("rollups", "refusals", "refusal_totals")
    # refusals of one user are counted beside a search for them
    member = await running.user("grace")
    await running.get("/api/v2/aibridge/openai/v1/nowhere", member)
    await running.bridge.refusal_recorder.flush()
    found = {
        q: await stats(running, format="series", q=q) for q in ("initiator:grace", "initiator:ada", "-initiator:ada")
    }
    assert {q: response["refusals"]["total"] for q, response in found.items()} == {
        "initiator:grace": 1,
        "initiator:ada": 0,
        "-initiator:ada": 1,
    }
    hidden = await stats(running, member, format="series", q="-initiator:me")
    assert (hidden["refusals"]["total"], hidden["series"][0]["total"]["interceptions"]) == (0, 0)


@pytest.mark.gen_test
async def test_owners_and_auditors_see_all_and_members_their_own(running):
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    for headers, models in ((running.headers, ["a", "b", "b"]), (member, ["b", "c"])):
        for model in models:
            await record(running, headers, model=model)
    await counted(running)
    await record(running, member)
    for headers, models, users, uncounted in (
        (running.headers, [("b", 3), ("a", 1), ("c", 1)], [("ada", 3), ("grace", 2)], 1),
        (auditor, [("b", 3), ("a", 1), ("c", 1)], [("ada", 3), ("grace", 2)], 1),
        (member, [("b", 1), ("c", 1)], [("grace", 2)], 1),
        (await running.user("newcomer"), [], [], 0),
    ):
        for bucket in Bucket:
            response = await stats(running, headers, group_by="model", bucket=bucket)
            assert [(one["group"], one["total"]["interceptions"]) for one in response["series"]] == models
            assert response["uncounted"] == uncounted
            response = await stats(running, headers, group_by="initiator", bucket=bucket)
            found = [(one["group"]["username"], one["total"]["interceptions"]) for one in response["series"]]
            assert found == users
        response = await stats(running, headers)
        assert response["series"][0]["total"]["interceptions"] == sum(number for _, number in users)


@pytest.mark.gen_test
async def test_groups_and_tokens_are_named_also_when_they_are_no_more(running, change):
    member = await running.user("grace")
    for name in ("research", "ops"):
        await change("POST", "/groups", {"name": name})
        await change("PUT", f"/groups/{name}/members/grace")
    _, laptop = await change("POST", "/users/grace/tokens", {"name": "laptop"})
    for headers in (member, {"Authorization": f"Bearer {laptop['token']}"}, running.headers):
        await record(running, headers)
    await change("DELETE", "/groups/ops")
    await change("DELETE", f"/users/grace/tokens/{laptop['id']}")
    await counted(running)
    by_group = await stats(running, group_by="group")
    found = {(one["group"]["name"], one["total"]["interceptions"], one["other"]) for one in by_group["series"]}
    assert found == {("research", 2, False), ("ops", 2, False), ("", 1, False)}
    assert [set(one["group"]) for one in by_group["series"]] == [{"id", "name"}] * 3
    assert next(one["group"] for one in by_group["series"] if not one["group"]["name"]) == {"id": None, "name": ""}
    by_token = await stats(running, member, group_by="token")
    named = {"id": laptop["id"], "name": "laptop", "username": "grace"}
    assert named in [one["group"] for one in by_token["series"]]
    assert [one["total"]["interceptions"] for one in by_token["series"]] == [1, 1]


@pytest.mark.gen_test
async def test_series_of_a_search_are_told_beside_the_time_before(running):
    member = await running.user("grace")
    for headers, model in ((running.headers, "a"), (running.headers, "b"), (member, "b")):
        await record(running, headers, model=model)
    await counted(running)
    for q, models in (
        ("model:b", [("b", 2)]),
        ("-model:a took:>=0s", [("b", 2)]),
        ("initiator:me", [("a", 1), ("b", 1)]),
    ):
        response = await stats(running, format="series", q=q, group_by="model", compare="previous")
        assert [(one["group"], one["total"]["interceptions"]) for one in response["series"]] == models
        assert response["series"][0]["points"][0]["first_byte_ms"]["p50"] > 0
        assert (response["previous"]["to"], response["previous"]["points"]) == (response["from"], [])
        assert response["previous"]["total"]["interceptions"] == 0
        assert ("refusals" in response) == (q == "initiator:me")
    alone = await stats(running, format="series", q="model:b")
    assert (alone["series"][0]["group"], alone["series"][0]["total"]["interceptions"]) == (None, 2)
    assert "previous" not in alone
    of_all = await stats(running, format="series", compare="previous")
    assert of_all["series"] == (await stats(running))["series"]
    now = running.bridge.now()
    later = {"from": (now + timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=2)).isoformat()}
    for q in ("", "model:b"):
        before = (await stats(running, format="series", compare="previous", q=q, **later))["previous"]
        assert (before["total"]["interceptions"], len(before["points"])) == ((3, 1) if not q else (2, 1))
    assert (await stats(running, member, format="series", q="model:b"))["series"][0]["total"]["interceptions"] == 1
    status, result = await running.get(f"{STATS}?format=series&q=initiator:ada", member)
    assert (status, result["validations"][0]["field"]) == (400, "user")
    assert (await stats(running, format="series", q="nobody"))["series"][0]["total"]["interceptions"] == 0


@pytest.mark.gen_test
async def test_how_far_series_of_a_search_are_is_told_in_lines(running):
    await record(running, model="a")
    await counted(running)
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await running.request("GET", f"{STATS}?format=series&q=took:%3E%3D0s", lines)
    *progress, last = map(json.loads, response.body.splitlines())
    assert (response.status, [one["progress"]["read"] for one in progress]) == (200, [0, 1])
    assert last["result"] == await stats(running, format="series", q="took:>=0s")
    (only,) = (await running.request("GET", f"{STATS}?format=series", lines)).body.splitlines()
    assert json.loads(only)["result"]["series"][0]["total"]["interceptions"] == 1


@pytest.mark.gen_test
async def test_what_is_asked_wrongly_is_answered_by_name(running, monkeypatch):
    allowed = ", ".join(sorted(PARAMETERS))
    unknown = f"unknown query parameter; allowed are {allowed}"
    assert await running.get(STATS + "?x=1") == (
        400,
        {"message": INVALID, "validations": [{"field": "x", "detail": unknown}]},
    )
    assert await running.get(STATS + "?bucket=year") == (
        400,
        {
            "message": INVALID,
            "validations": [{"field": "bucket", "detail": "must be one of minute, hour, day, week, month, all"}],
        },
    )
    assert (await running.get(STATS, {}))[0] == 401
    await record(running)
    await counted(running)
    response = await running.request("HEAD", STATS + "?bucket=day", running.headers)
    assert (response.status, response.body, response.header("Content-Type")) == (200, b"", "application/json")
    monkeypatch.setattr(statistics, "MAX_ROLLUPS", 0)
    monkeypatch.setattr(stats_module, "MAX_ROLLUPS", 0)
    detail = "asks for more than 0 figures; choose a shorter range, a longer bucket or no groups"
    assert await running.get(STATS) == (
        400,
        {"message": INVALID, "validations": [{"field": "from", "detail": detail}]},
    )
