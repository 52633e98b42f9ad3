"""The statistics of real records and refusals."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.api.recorded.statistics import CHANGE_OF_NOTHING, MAX_BUCKETS, QuestionQuery
from handlers.operations.problems import too_much
from handlers.operations.query import INVALID, read_query
from handlers.problems import ValidationProblem
from storage.accounts.users import Role
from storage.queries.questions.calendar import Period, starts
from storage.queries.questions.groups import TooManyPointsError, TooMuchError
from storage.queries.questions.question import By, Counted, Dimension, Order
from tests.cases import for_each
from tests.derived import derive
from tests.handlers.api.calls import record

STATS = "/api/v2/aibridge/stats"


async def counted(running):
    await derive(running.bridge.database, now=running.bridge.now)


async def stats(running, headers=None, **parameters):
    status, response = await running.get(f"{STATS}?{urlencode(parameters)}", headers)
    assert status == 200, response
    return response


async def text(running, **parameters):
    response = await running.request("GET", f"{STATS}?{urlencode(parameters)}", running.headers)
    assert response.status == 200
    return response


def test_what_takes_too_long_is_told_with_how_long_it_may_take():
    assert too_much(TooMuchError(1_234_567, 20.0)) == (
        "takes longer than the 20 s that it may take: about 1,234,567 calls are read one by one for it, which may take 62 s "
        "or longer. Choose a shorter range, or group and search by user, provider, model and client alone, in whole hours"
    )
    assert too_much(TooMuchError(0, 9.0)).startswith("takes longer than the 9 s that it may take. Choose")


async def test_the_same_tokens_are_priced_as_those_of_another_model(running):
    await record(running, model="gpt-5")
    await counted(running)
    shown = await stats(running, group_by="model", priced_as="anthropic/claude-haiku-4-5")
    tokens, (group,) = shown["total"]["token_usage"], shown["groups"]
    dollars = {"input": 1, "output": 5, "cache_read_input": 0.1, "cache_write_input": 1.25}  # a million
    usd = sum(tokens[f"{kind}_tokens"] * price for kind, price in dollars.items()) / 1_000_000
    assert usd > 0
    assert (shown["total"]["priced_as_usd"], group["total"]["priced_as_usd"]) == (pytest.approx(usd),) * 2
    assert (await stats(running, priced_as="openai/gpt-5"))["total"]["priced_as_usd"] == pytest.approx(
        shown["total"]["cost_usd"]
    )
    assert "priced_as_usd" not in (await stats(running))["total"]
    for nothing in ("gpt-5", "nobody/gpt-5", "openai/none"):
        status, problem = await running.get(f"{STATS}?priced_as={nothing}")
        assert (status, problem["validations"][0]["field"]) == (400, "priced_as")


async def test_figures_of_two_dimensions_have_names_costs_and_the_time_before_by_who_asks(running):
    # two dimensions are told with names costs and the time before
    member = await running.user("grace")
    await record(running, member, model="gpt-5")
    await record(running, model="gpt-5", fails=True)
    await counted(running)
    response = await stats(running, group_by="user,model", order_by="cost", compare="previous")
    assert (response["group_by"], response["count"], response["bucket"], response["of"]) == (
        ["user", "model"],
        2,
        "all",
        "calls",
    )
    first, second = response["groups"]
    assert [(one["group"]["user"]["username"], one["group"]["model"]) for one in (first, second)] == [
        ("grace", "gpt-5"),
        ("ada", "gpt-5"),
    ]
    total, usage = first["total"], first["total"]["token_usage"]
    kinds = total["cost_by_kind"]
    assert sum(kinds.values()) == pytest.approx(total["cost_usd"], abs=1e-9)
    assert kinds["output_usd"] > 0
    read, written, fresh = (
        usage[name] for name in ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens")
    )
    assert total["cache"]["rate"] == round(read / (read + written + fresh), 4)
    assert total["cache"]["saved_usd"] > 0
    assert (total["tokens"], total["failed"], second["total"]["failures"]) == (
        *(sum(usage.values()), 0),
        {"upstream_error": 1},
    )
    assert first["previous"]["interceptions"] == response["previous"]["total"]["interceptions"] == 0
    assert first["total"]["bridge_ms"]["p50"] >= 0
    assert sum(one["calls"] for one in response["histograms"]["duration_ms"]) == 2
    by_month = await stats(running, group_by="user,model", bucket="month", tz="Asia/Tokyo")
    assert [sum(point["interceptions"] for point in one["points"]) for one in by_month["groups"]] == [1, 1]
    (month,) = by_month["points"]
    assert month["interceptions"] == 2
    assert {name: month[name] for name in by_month["total"]} == by_month["total"]
    await running.afresh("rollups")
    # members see their own and readers all figures
    member, reader = await running.user("grace"), await running.user("ron", Role.READER)
    await record(running, member, model="a")
    await record(running, model="b")
    await counted(running)
    for group_by in ("user", "user,http_status", "user,agent"):
        found = await stats(running, member, group_by=group_by, order_by="cost")
        assert [one["group"]["user"]["username"] for one in found["groups"]] == ["grace"]
        assert found["total"]["interceptions"] == 1
    response = await stats(running, reader, group_by="user,http_status")
    assert {one["group"]["user"]["username"] for one in response["groups"]} == {"ada", "grace"}
    assert (await stats(running, reader, of="sessions", group_by="client"))["of"] == "sessions"
    assert "Why" not in json.dumps(response)
    status, result = await running.get(f"{STATS}?q=user:ada", member)
    assert (status, result["validations"][0]["field"]) == (400, "user")


async def test_csv_has_a_row_for_each_group_and_no_prompt(running):
    await record(running, model="=cmd()")
    await record(running, model="gpt-5")
    await counted(running)
    requested = {"group_by": "model,token", "order_by": "cost"}
    groups = (await stats(running, **requested))["groups"]
    response = await text(running, **requested, format="csv")
    assert response.header("Content-Type") == "text/csv; charset=utf-8; header=present"
    table = list(csv.DictReader(io.StringIO(response.body.decode(), newline="")))
    for group, cells in zip(groups, table, strict=True):
        total = group["total"]
        assert int(cells["interceptions"]) == total["interceptions"] == 1
        assert float(cells["cost_usd"] or "nan") == pytest.approx(total["cost_usd"] or float("nan"), nan_ok=True)
        assert float(cells["duration_ms.p95"]) == total["duration_ms"]["p95"]
        assert cells["token.username"] == "ada"
    assert {row["model"] for row in table} == {"'=cmd()", "gpt-5"}
    daily = await text(running, bucket="day", group_by="end_reason", format="csv")
    (row,) = csv.DictReader(io.StringIO(daily.body.decode(), newline=""))
    assert (row["end_reason"], row["interceptions"], row["at"][10:]) == ("completed", "2", "T00:00:00.000Z")
    assert row.keys() - {"at", "end_reason"} == table[0].keys() - {"model", "token.id", "token.name", "token.username"}
    whole = await text(running, compare="previous", format="csv")
    (row,) = csv.DictReader(io.StringIO(whole.body.decode(), newline=""))
    assert (row["interceptions"], row["previous.interceptions"]) == ("2", "0")


async def test_a_search_narrows_every_subject(running):
    await record(running, model="a")
    await record(running, model="b", fails=True)
    await counted(running)
    failed = await stats(running, q="status:failed", group_by="model")
    assert [one["group"] for one in failed["groups"]] == [{"model": "b"}]
    for of, q in (("refusals", "rule:rate"), ("sessions", "model:a")):
        assert (await stats(running, of=of, q=q))["count"] == 0
    for of, q in (("refusals", "tool:x"), ("sessions", "status:in_flight"), ("calls", "status:odd")):
        status, _ = await running.get(f"{STATS}?{urlencode({'of': of, 'q': q})}")
        assert status == 400
    status, result = await running.get(f"{STATS}?of=sessions&order_by=p95")
    assert (status, result["validations"]) == (
        400,
        [{"field": "order_by", "detail": "sessions cannot be sorted by p95"}],
    )
    status, result = await running.get(f"{STATS}?of=refusals&order_by=cache")
    assert result["validations"] == [{"field": "order_by", "detail": "refusals cannot be sorted by cache"}]
    for of in ("calls", "refusals", "sessions"):
        found = await stats(running, of=of, order_by="change", compare="previous", group_by="user")
        assert (found["order_by"], found["count"]) == ("change", 1 if of == "calls" else 0)


@pytest.mark.parametrize(
    ("error", "field", "detail"),
    [
        (TooManyPointsError(), "limit", "asks for more than 10,000 buckets; choose fewer groups or longer buckets"),
        (TooMuchError(3, 20.0), "from", too_much(TooMuchError(3, 20.0))),
    ],
)
async def test_what_is_too_much_is_told(running, questions, error, field, detail):
    async def fails(*_):
        raise error

    questions.instead = fails
    assert await running.get(f"{STATS}?bucket=all") == (
        400,
        {"message": INVALID, "validations": [{"field": field, "detail": detail}]},
    )


async def test_over_time_every_figure_stands_beside_the_time_before(running):
    for model in ("a", "b", "b"):
        await record(running, model=model)
    await record(running, model="b", fails=True)
    await counted(running)
    now = running.bridge.now()
    later = {"from": (now + timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=2)).isoformat()}
    for q, calls in (("", 4), ("model:b", 3), ("model:b took:>=0s", 3)):
        found = await stats(running, bucket="hour", compare="previous", q=q)
        assert (found["groups"], found["count"], "other" in found) == ([], 0, False)
        (point,) = found["points"]
        assert point.pop("at").endswith(":00:00.000Z")
        assert point == found["total"]
        assert (point["interceptions"], point["failures"]) == (calls, {"upstream_error": 1})
        assert 0 < point["first_byte_ms"]["p50"] <= point["duration_ms"]["p99"]
        before = found["previous"]
        assert (before["to"], before["total"]["interceptions"], before["points"]) == (found["from"], 0, [])
        before = (await stats(running, bucket="hour", compare="previous", q=q, **later))["previous"]
        (point,) = before["points"]
        point.pop("at")
        assert (before["total"], point["interceptions"]) == (found["total"], calls)
    found = await stats(running, bucket="hour", range="24h", compare="previous")
    assert (len(found["buckets"]), found["buckets"][0], found["total"]["interceptions"]) == (24, found["from"], 4)
    assert (len(found["previous"]["buckets"]), found["previous"]["to"]) == (24, found["from"])
    assert "points" not in await stats(running)
    assert "points" not in (await stats(running, compare="previous"))["previous"]


async def test_what_is_in_no_group_of_the_page_is_told_as_one(running):
    for model in ("a", "b", "b", "c"):
        await record(running, model=model, fails=model == "c")
    await counted(running)
    for q in ("", "took:>=0s"):
        found = await stats(running, group_by="model", bucket="hour", limit=1, q=q)
        assert [one["group"]["model"] for one in found["groups"]] == ["b"]
        other, (point,) = found["other"], found["other"]["points"]
        point.pop("at")
        assert point == other["total"]
        assert (point["interceptions"], point["failures"]) == (2, {"upstream_error": 1})
        whole, first = found["total"]["token_usage"], found["groups"][0]["total"]["token_usage"]
        assert point["token_usage"] == {name: whole[name] - first[name] for name in whole}
        assert point["duration_ms"]["p50"] > 0
        assert "other" not in await stats(running, group_by="model", q=q)
    # A call may be in several groups by tool.
    assert "other" not in await stats(running, group_by="tool", limit=1, offset=1)


async def test_groups_and_tokens_are_named_also_when_they_are_no_more(running, change):
    member = await running.user("grace")
    for name in ("research", "ops"):
        await change("POST", "/groups", {"name": name})
        await change("PUT", f"/groups/{name}/members/grace")
    _, laptop = await change("POST", "/users/grace/tokens", {"name": "laptop"})
    for headers in (member, {"Authorization": f"Bearer {laptop['token']}"}, running.headers):
        await record(running, headers)
    await change("DELETE", "/groups/ops")
    await change("DELETE", f"/tokens/{laptop['id']}")
    await counted(running)
    by_group = (await stats(running, group_by="group"))["groups"]
    assert {(one["group"]["group"]["name"], one["total"]["interceptions"]) for one in by_group} == {
        *(("research", 2), ("ops", 2), ("", 1)),
    }
    by_token = (await stats(running, member, group_by="token"))["groups"]
    named = {"id": laptop["id"], "name": "laptop", "username": "grace"}
    assert named in [one["group"]["token"] for one in by_token]
    assert [one["total"]["interceptions"] for one in by_token] == [1, 1]


NOW = datetime(2026, 3, 5, 12, 30, 15, tzinfo=UTC)


def read(values):
    return read_query(QuestionQuery, {name: [value.encode()] for name, value in values.items()}, NOW)


def test_a_question_is_read_in_the_zone_it_names():
    requested = read(
        {
            "from": "2026-02-10T00:00:00Z",
            "bucket": "month",
            "tz": "Europe/Berlin",
            "group_by": "initiator,tag.project",
            "order_by": "cost",
            "limit": "5",
            "offset": "10",
            "compare": "previous",
            "format": "csv",
        }
    )
    query = requested.question(NOW)
    assert query.start == datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert query.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert query.by == (By(Dimension.USER), By(Dimension.TAG, "project"))
    assert (query.period, query.order, query.limit, query.offset, query.compare) == (
        *(Period.MONTH, Order.COST),
        *(5, 10, True),
    )
    assert (requested.format, requested.tz, query.of) == ("csv", "Europe/Berlin", Counted.CALLS)
    usual = read({"of": ""}).question(NOW)
    assert (usual.start, usual.end) == (datetime(2026, 3, 4, 12, tzinfo=UTC), datetime(2026, 3, 5, 13, tzinfo=UTC))


@for_each(
    ("values", "start", "end"),
    ({"range": "24h", "bucket": "hour"}, "2026-03-04T13:00", "2026-03-05T13:00"),
    ({"range": "30d", "bucket": "day", "tz": "Europe/Berlin"}, "2026-02-03T23:00", "2026-03-05T23:00"),
    ({"range": "last-month", "bucket": "day", "tz": "Europe/Berlin"}, "2026-01-31T23:00", "2026-02-28T23:00"),
    ({"range": "this-week", "tz": "Asia/Kolkata"}, "2026-03-01T18:30", "2026-03-05T13:30"),
    ({"range": "2026-03-01..2026-03-01"}, "2026-03-01T00:00", "2026-03-02T00:00"),
)
def test_a_named_range_is_resolved_in_the_zone_and_a_length_has_as_many_buckets(values, start, end):
    query = read(values).question(NOW)
    assert [at.isoformat()[:16] for at in (query.start, query.end)] == [start, end]


@for_each(
    ("values", "field", "detail"),
    ({"range": "24h", "from": "2026-02-26T12:00:00Z"}, "range", "cannot be used beside from and to"),
    ({"bucket": "year"}, "bucket", "must be one of minute, hour, day, week, month, all"),
    ({"of": "money"}, "of", "must be one of calls, refusals, sessions"),
    ({"tz": "Mars/Olympus"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
    ({"tz": "../../etc/passwd"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
    ({"format": "xml"}, "format", "must be one of json, csv"),
    ({"compare": "next"}, "compare", "must be previous"),
    ({"order_by": "name"}, "order_by", "must be one of calls, cost, tokens, failed, p95, cache, change"),
    ({"order_by": "change"}, "order_by", CHANGE_OF_NOTHING),
    ({"bucket": "hour", "from": "2025-01-01T00:00:00Z"}, "bucket", "the range has more than 1,500 buckets"),
    ({"bucket": "day", "from": "2026-03-05T12:20:00Z", "to": "2026-03-05T12:10:00Z"}, "to", "must be after from"),
    ({"to": "2026-03-01T00:00:00Z", "from": "2026-03-02T00:00:00Z"}, "to", "must be after from"),
    ({"to": "0001-01-01T01:00:00Z"}, "to", "is out of range"),
    (
        {"of": "refusals", "group_by": "tool"},
        "group_by",
        "has 'tool', which refusals do not have; it may have up to 2 of user, rule, token, model, provider, http_status, separated by a comma",
    ),
)
def test_what_cannot_be_asked_is_refused_by_name(values, field, detail):
    with pytest.raises(ValidationProblem) as refused:
        read(values)
    assert (refused.value.message, list(refused.value.validations)) == (INVALID, [(field, detail)])


times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
words = st.sampled_from([*Period, *Order, *Counted, "user,model", "Europe/Berlin", "csv", "previous", "7", "0"])
texts = st.one_of(times.map(lambda time: time.isoformat()), words, st.text(max_size=20))


@given(st.dictionaries(st.sampled_from(QuestionQuery.__struct_encode_fields__), texts))
def test_any_values_are_a_bounded_question_or_are_refused(values):
    try:
        query = read(values).question(NOW)
    except ValidationProblem:
        return
    assert 1 <= sum(1 for _ in starts(query.period, query.start, query.end, query.zone)) <= MAX_BUCKETS
    assert query.start < query.end
    assert query.previous.end <= query.start


PREFIX = "/api/v2/aibridge/"


async def test_names_are_those_of_visible_calls_searched_and_paged(running):
    # names are searched and paged
    for model in ("a", "gpt-5", "gpt-5-mini", "GPT", "ü"):
        await record(running, model=model)
    await derive(running.bridge.database, now=running.bridge.now)
    for query, names in {
        "q=gpt": ["gpt-5", "gpt-5-mini"],
        "q=gpt&limit=1": ["gpt-5"],
        "q=gpt&limit=1&offset=1": ["gpt-5-mini"],
        "q=%C3%BC": ["ü"],
        "q=.": [],
        "q=": ["GPT", "a", "gpt-5", "gpt-5-mini", "ü"],
        "offset=4": ["ü"],
        "offset=2147483647": [],
    }.items():
        assert await running.get(f"{PREFIX}models?{query}") == (200, names), query
    await running.afresh("rollups")
    # names are those of calls that the caller may see
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    await record(running, model="gpt-5")
    await record(running, member, model="m:1", user_agent="codex_cli_rs/0.1")
    await record(running, member, model="gpt-6")
    await derive(running.bridge.database, now=running.bridge.now)
    for headers, models, clients in (
        (running.headers, ["gpt-5", "gpt-6", "m:1"], ["Codex", "Unknown"]),
        (auditor, ["gpt-5", "gpt-6", "m:1"], ["Codex", "Unknown"]),
        (member, ["gpt-6", "m:1"], ["Codex", "Unknown"]),
    ):
        assert await running.get(PREFIX + "models", headers) == (200, models)
        assert await running.get(PREFIX + "clients", headers) == (200, clients)
        assert await running.get(PREFIX + "providers", headers) == (200, ["openai"])
    assert await running.get(PREFIX + "models", await running.user("newcomer")) == (200, [])
