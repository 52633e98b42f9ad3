"""The export of costs by HTTP."""

import csv
import io
import json

import pytest

from resources.spend import GONE, SPEND_BY
from tests.derived import derive
from tests.handlers.dataplane.test_call_usage import OPUS, whole

EXPORT = "/api/v2/aibridge/spend/export"


@pytest.fixture
def export(running):
    async def export(query="", headers=None):
        return await running.request("GET", EXPORT + query, headers or running.headers)

    return export


async def record(running):
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    (recorded,) = await running.ended(1)
    await derive(running.bridge.database, now=running.bridge.now)
    return recorded


def table(response):
    assert response.header("Content-Type") == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(response.body.decode(), newline="")))


async def test_what_calls_cost_is_taken_away_by_whom_and_for_what_and_by_members_their_own(running, export):
    # what calls cost is taken away by whom and for what
    recorded = await record(running)
    response = await export("?group_by=user,model,group,token")
    (row,) = table(response)
    assert response.header("Content-Disposition") == 'attachment; filename="spend.csv"'
    assert (row["username"], row["model"], row["groups"], row["calls"]) == ("ada", "claude-opus-4-1", "", "1")
    assert row["token_id"] == recorded["api_key_id"]
    assert float(row["cost_usd"]) == recorded["cost"]["usd"]
    assert int(row["cost_micro_usd"]) == round(recorded["cost"]["usd"] * 1_000_000)
    (focus,) = table(await export("?format=focus"))
    assert (focus["SubAccountName"], focus["x_Calls"], focus["BilledCost"]) == ("ada", "1", row["cost_usd"])
    await running.afresh()
    # members see what their own calls cost
    await record(running)
    assert table(await export("?group_by=model", await running.user("bob"))) == []
    await running.afresh()
    # what cannot be asked is named
    response = await export("?from=x&to=2026-13-01&group_by=user,moon&span=year&format=xml")
    result = {one["field"]: one["detail"] for one in json.loads(response.body)["validations"]}
    assert (response.status, result.keys()) == (400, {"from", "to", "group_by", "span", "format"})
    assert result["group_by"] == f"has 'moon'; it may have {', '.join(SPEND_BY)}, separated by commas"
    for query, field in (("?from=2026-11-02&to=2026-11-02", "to"), ("?to=9999-12-31T23:59:59Z", "to")):
        response = await export(query)
        assert (response.status, json.loads(response.body)["validations"][0]["field"]) == (400, field)
    await running.afresh()
    # records that are gone are told before anything is sent
    await record(running)
    await running.bridge.database.interceptions.delete_many({})
    response = await export("?group_by=group,model")
    (problem,) = json.loads(response.body)["validations"]
    assert (response.status, problem["field"], problem["detail"].startswith(GONE[:15])) == (400, "from", True)
    assert len(table(await export("?group_by=user,model"))) == 1
