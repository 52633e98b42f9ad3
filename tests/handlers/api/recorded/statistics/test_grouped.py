"""Groups of the statistics: requests and responses."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import urlencode

import pytest

from handlers.api.control import too_much
from handlers.api.pagination import INVALID
from storage.accounts.users import Role
from storage.aggregation.rollup_job import RollupJob
from storage.queries.filters.grouped.groups import TooManyPointsError, TooMuchError
from storage.queries.grouped.grouped import Grouped
from tests.handlers.api.calls import record

STATS = "/api/v2/aibridge/stats"


async def counted(running):
    await RollupJob(running.bridge.database, now=running.bridge.now).add_pending()


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


@pytest.mark.gen_test
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
    assert first["previous"]["interceptions"] == response["previous"]["interceptions"] == 0
    assert first["total"]["bridge_ms"]["p50"] >= 0
    assert sum(one["calls"] for one in response["histograms"]["duration_ms"]) == 2
    by_month = await stats(running, group_by="user,model", bucket="month", tz="Asia/Tokyo")
    assert [sum(point["interceptions"] for point in one["points"]) for one in by_month["groups"]] == [1, 1]
    assert by_month["points"][0]["interceptions"] == 2
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
    status, result = await running.get(f"{STATS}?q=initiator:ada", member)
    assert (status, result["validations"][0]["field"]) == (400, "user")


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
