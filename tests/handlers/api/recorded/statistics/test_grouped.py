"""Groups of the statistics: requests and responses."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.iostream import StreamClosedError

from handlers.api.pagination import INVALID
from handlers.api.recorded.statistics.group_request import (
    CHANGE_OF_NOTHING,
    MAX_BUCKETS,
    OWN_PARAMETERS,
    needs_groups,
    parse_group_request,
)
from handlers.api.recorded.statistics.grouped import too_much
from handlers.control import DATABASE_UNAVAILABLE
from handlers.lifecycle import SHUTTING_DOWN
from handlers.problems import ValidationProblem
from storage.accounts.users import Role
from storage.aggregation.rollup_job import RollupJob
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.filters.grouped.calendar import Period, starts
from storage.queries.filters.grouped.dimensions import By, Dimension, Order, Subject
from storage.queries.filters.grouped.groups import TooManyPointsError, TooMuchError, UnsupportedOrderError
from storage.queries.grouped import slices
from storage.queries.grouped.grouped import STREAM_SECONDS, Grouped
from storage.queries.grouped.row_reader import Progress
from tests.cases import for_each
from tests.handlers.api.calls import record

STATS = "/api/v2/aibridge/stats"
NOW = datetime(2026, 3, 5, 12, 30, 15, tzinfo=UTC)


async def counted(running):
    await RollupJob(running.bridge.database, now=running.bridge.now).add_pending()


async def stats(running, headers=None, **parameters):
    status, response = await running.get(f"{STATS}?{urlencode(parameters)}", headers)
    assert status == 200, response
    return response


async def text(running, **parameters):
    client = await running.client()
    response = await client.request("GET", f"{STATS}?{urlencode(parameters)}", running.headers)
    client.close()
    assert response.status == 200
    return response


def test_a_question_is_read_in_the_zone_it_names():
    requested = parse_group_request(
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
        },
        NOW,
    )
    query = requested.query
    assert query.start == datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert query.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert query.by == (By(Dimension.USER), By(Dimension.TAG, "project"))
    assert (query.period, query.order, query.limit, query.offset, query.compare) == (
        *(Period.MONTH, Order.COST),
        *(5, 10, True),
    )
    assert (requested.format, requested.tz, query.of) == ("csv", "Europe/Berlin", Subject.CALLS)
    usual = parse_group_request({"of": ""}, NOW).query
    assert (usual.start, usual.end) == (datetime(2026, 3, 4, 12, tzinfo=UTC), datetime(2026, 3, 5, 13, tzinfo=UTC))


@for_each(
    ("values", "field", "detail"),
    [
        ({"of": "money"}, "of", "must be one of calls, refusals, sessions"),
        ({"tz": "Mars/Olympus"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
        ({"tz": "../../etc/passwd"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
        ({"format": "xml"}, "format", "must be one of json, csv, rows, series"),
        ({"compare": "next"}, "compare", "must be previous"),
        ({"order_by": "name"}, "order_by", "must be one of calls, cost, tokens, failed, p95, cache, change"),
        ({"order_by": "change"}, "order_by", CHANGE_OF_NOTHING),
        ({"bucket": "hour", "from": "2025-01-01T00:00:00Z"}, "bucket", "the range has more than 1,500 buckets"),
        (
            {"bucket": "minute", "from": "2026-02-26T12:00:00Z", "to": "2026-02-26T13:00:00Z"},
            "from",
            "minutes are kept for 7 days; choose a longer bucket",
        ),
        ({"to": "2026-03-01T00:00:00Z", "from": "2026-03-02T00:00:00Z"}, "to", "must be after from"),
        ({"to": "0001-01-01T01:00:00Z"}, "to", "is out of range"),
        (
            {"of": "refusals", "group_by": "tool"},
            "group_by",
            "has 'tool', which refusals do not have; it may have up to 2 of user, rule, token, model, provider, http_status, separated by a comma",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(values, field, detail):
    with pytest.raises(ValidationProblem) as refused:
        parse_group_request(values, NOW)
    assert (refused.value.message, list(refused.value.validations)) == (INVALID, [(field, detail)])


@for_each("group_by", ["nobody", "tag", "tag.", "tag.A", "tag.a.b", "tag.$x", "user,model,client"])
def test_a_dimension_that_there_is_not_is_refused(group_by):
    with pytest.raises(ValidationProblem) as refused:
        parse_group_request({"group_by": group_by}, NOW)
    ((field, detail),) = refused.value.validations
    assert field == "group_by"
    assert "up to 2 of user, group, token, model" in detail
    assert detail.endswith("streaming, tag.NAME, separated by a comma")


times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
words = st.sampled_from([*Period, *Order, *Subject, "user,model", "Europe/Berlin", "rows", "previous", "7", "0"])
texts = st.one_of(times.map(lambda time: time.isoformat()), words, st.text(max_size=20))
NAMES = ["from", "to", "bucket", "group_by", *OWN_PARAMETERS]


@given(st.dictionaries(st.sampled_from(NAMES), texts))
def test_any_values_are_a_bounded_question_or_are_refused(values):
    try:
        query = parse_group_request(values, NOW).query
    except ValidationProblem:
        return
    assert 1 <= sum(1 for _ in starts(query.period, query.start, query.end, query.zone)) <= MAX_BUCKETS
    assert query.start < query.end
    assert query.previous.end == query.start


def test_what_series_tell_is_no_question_about_groups():
    assert not needs_groups({"bucket": "day", "group_by": "initiator", "q": ""})
    assert not needs_groups({"format": "series", "q": "x", "compare": "previous", "group_by": "tool"})
    for values in ({"q": "x"}, {"bucket": "all"}, {"group_by": "user,model"}, {"group_by": "tool"}, {"limit": "5"}):
        assert needs_groups(values)


def test_what_takes_too_long_is_told_with_how_long_it_may_take():
    assert too_much(TooMuchError(1_234_567, 20.0)) == (
        "takes longer than the 20 s that it may take: about 1,234,567 calls are read one by one for it, which may take 62 s "
        "or longer. Choose a shorter range, or group and search by user, provider, model and client alone, in whole hours"
    )
    assert too_much(TooMuchError(0, 9.0)).startswith("takes longer than the 9 s that it may take. Choose")


@pytest.mark.gen_test
async def test_two_dimensions_are_told_with_names_costs_and_the_time_before(running):
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
    assert first["previous"]["interceptions"] == response["previous"]["interceptions"] == 0
    assert first["total"]["bridge_ms"]["p50"] >= 0
    assert sum(one["calls"] for one in response["histograms"]["duration_ms"]) == 2
    by_month = await stats(running, group_by="user,model", bucket="month", tz="Asia/Tokyo")
    assert [sum(point["interceptions"] for point in one["points"]) for one in by_month["groups"]] == [1, 1]
    assert by_month["points"][0]["interceptions"] == 2


@pytest.mark.gen_test
async def test_rows_and_csv_have_what_is_seen_and_no_prompt(running):
    await record(running, model="=cmd()")
    await record(running, model="gpt-5")
    await counted(running)
    requested = {"group_by": "model,token", "order_by": "cost"}
    rows = await stats(running, **requested, format="rows")
    assert rows["count"] == 2
    response = await text(running, **requested, format="csv")
    assert response.header("Content-Type") == "text/csv; charset=utf-8; header=present"
    table = list(csv.DictReader(io.StringIO(response.body.decode(), newline="")))
    assert [set(row) for row in rows["rows"]] == [set(row) for row in table]
    for row, cells in zip(rows["rows"], table, strict=True):
        assert int(cells["calls"]) == row["calls"] == 1
        assert float(cells["cost_usd"] or "nan") == pytest.approx(row["cost_usd"] or float("nan"), nan_ok=True)
        assert cells["token_username"] == "ada"
    assert {row["model"] for row in table} == {"'=cmd()", "gpt-5"}
    daily = await text(running, bucket="day", group_by="end_reason", format="csv")
    (row,) = csv.DictReader(io.StringIO(daily.body.decode(), newline=""))
    assert (row["end_reason"], row["calls"], row["at"][10:]) == ("completed", "2", "T00:00:00.000Z")
    whole = await stats(running, format="rows", compare="previous")
    assert (whole["rows"][0]["calls"], whole["rows"][0]["previous_calls"]) == (2, 0)


@pytest.mark.gen_test
async def test_members_see_their_own_and_readers_all_figures(running):
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
    status, result = await running.get(f"{STATS}?q=initiator:ada", member)
    assert (status, result["validations"][0]["field"]) == (400, "initiator")


@pytest.mark.gen_test
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
        (TooManyPointsError(), "limit", "asks for more than 20,000 buckets; choose fewer groups or longer buckets"),
        (TooMuchError(3, 20.0), "from", too_much(TooMuchError(3, 20.0))),
    ],
)
@pytest.mark.gen_test
async def test_what_is_too_much_is_told(running, monkeypatch, error, field, detail):
    async def fails(*_, **_options):
        raise error

    monkeypatch.setattr(Grouped, "read", fails)
    assert await running.get(f"{STATS}?bucket=all") == (
        400,
        {"message": INVALID, "validations": [{"field": field, "detail": detail}]},
    )


@pytest.mark.gen_test
async def test_progress_is_told_in_lines_while_records_are_read(running, monkeypatch):
    monkeypatch.setattr(slices, "SLICE_CALLS", 1)
    await record(running, model="a")
    await counted(running)
    client = await running.client()
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await client.request("GET", f"{STATS}?group_by=agent&q=model:a", lines)
    assert (response.status, response.header("Content-Type")) == (200, "application/x-ndjson")
    *progress, last = map(json.loads, response.body.splitlines())
    assert [(one["progress"]["read"], one["progress"]["of"]) for one in progress] == [(0, 3), (1, 3), (1, 2), (2, 2)]
    assert progress[-1]["progress"]["seconds_left"] == 0
    assert last["result"] == await stats(running, group_by="agent", q="model:a")
    (only,) = (await client.request("GET", f"{STATS}?group_by=model&bucket=all", lines)).body.splitlines()
    assert json.loads(only)["result"]["count"] == 1


@pytest.mark.gen_test
async def test_what_is_too_much_late_is_the_last_line(running, monkeypatch):
    async def fails(_grouped, _query, on_progress, **_):
        await on_progress(Progress(0, 40_000))
        raise TooMuchError(3, STREAM_SECONDS)

    monkeypatch.setattr(Grouped, "read", fails)
    client = await running.client()
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await client.request("GET", f"{STATS}?group_by=agent", lines)
    progress, error = map(json.loads, response.body.splitlines())
    assert (response.status, progress) == (200, {"progress": {"read": 0, "of": 40_000, "seconds_left": 2.0}})
    expected = {
        "message": INVALID,
        "validations": [{"field": "from", "detail": too_much(TooMuchError(3, STREAM_SECONDS))}],
    }
    assert error == {"error": expected}

    async def refuses(*_, **_options):
        raise UnsupportedOrderError("sessions cannot be sorted by p95")

    monkeypatch.setattr(Grouped, "read", refuses)
    assert (await client.request("GET", f"{STATS}?group_by=agent", lines)).status == 400
    running.bridge.lifecycle.draining = True
    response = await (await running.client()).request("GET", f"{STATS}?group_by=agent", lines)
    assert (response.status, json.loads(response.body)) == (503, {"message": SHUTTING_DOWN})


@pytest.mark.gen_test
async def test_a_database_that_becomes_unavailable_is_the_last_line(running, monkeypatch):
    async def fails(_grouped, _query, on_progress, **_):
        await on_progress(Progress(0, 40_000))
        raise DatabaseUnavailableError("gone")

    monkeypatch.setattr(Grouped, "read", fails)
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await (await running.client()).request("GET", f"{STATS}?group_by=agent", lines)
    progress, error = map(json.loads, response.body.splitlines())
    assert (response.status, progress["progress"]["of"]) == (200, 40_000)
    assert error == {"error": {"message": DATABASE_UNAVAILABLE}}


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.gen_test
async def test_a_client_that_leaves_ends_the_reading(running, monkeypatch, accept):
    began, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def reads(_grouped, _query, on_progress, **_):
        began.set()
        for read in range(100_000):
            try:
                await on_progress(Progress(read, 100_000))
            except StreamClosedError:
                ended.set_result(read)
                raise
            await asyncio.sleep(0)

    monkeypatch.setattr(Grouped, "read", reads)
    client = await running.client()
    requested = asyncio.ensure_future(
        client.request("GET", f"{STATS}?group_by=agent", {"Accept": accept, **running.headers})
    )
    await began.wait()
    requested.cancel()
    client.close()
    assert await asyncio.wait_for(ended, 20) < 100_000
