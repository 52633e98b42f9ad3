"""A budget under a storm: 256 clients on three servers, which count together by one database."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import UTC, datetime

import aiohttp
import pytest
from pymongo import MongoClient

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Budget, PolicyLimits, SharedLimits, SharedPolicy
from storage.policies.documents import KeptPolicy, document_of
from tests.fake_upstream import FakeUpstream
from tests.faults.deployment import Deployment
from tests.faults.waiting import until
from tests.handlers.dataplane.test_call_usage import OPUS, whole

SERVERS, CLIENTS = 3, 256
ANSWER_SECONDS = 0.25
# A server tells what was charged within a second, and reads what others told within another.
LAG_SECONDS = 2.0
CALLS_IN_BUDGET = 1_500
MICRO_DOLLARS = 1_000_000
# What a call costs, by the list price of its model.
CALL_MICRO_DOLLARS = 287.25
SETTLE_SECONDS = 60

pytestmark = [
    pytest.mark.faults,
    # Where the machine is too busy for a decision in time.
    pytest.mark.server_says(r"WARNING storage\.admission\.cluster: limits are server-local until ", r"^Traceback|^  "),
]


class SlowProvider(FakeUpstream):
    def script_of(self, request):
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, due.set)
        return (due, whole(OPUS))


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(SlowProvider().start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture(params=["settings", "policy"])
def environ(request, mongod):
    """What servers are told of a budget: of each user, or by a policy in the database, of all together."""
    usd = f"{CALLS_IN_BUDGET * CALL_MICRO_DOLLARS / MICRO_DOLLARS:.6f}"
    if request.param == "settings":
        return {"AIBRIDGE_USER_BUDGET_USD": usd}
    policy = SharedPolicy(limits=SharedLimits(together=PolicyLimits(budget=Budget(usd, "month"))))
    document = document_of(KeptPolicy(PolicyHolder(Level.EVERYONE), policy, "1", datetime.now(UTC)))
    with MongoClient(mongod.uri) as client:
        client["aibridge"]["policies"].insert_one(document)
    return {}


@pytest.fixture
def deployments(io_loop, tmp_path, mongod, provider, environ):
    environ = environ | {"AIBRIDGE_LIMITS_SCOPE": "cluster"}
    made = [Deployment(tmp_path / f"data-{number}", mongod.uri, provider.url, **environ) for number in range(SERVERS)]
    yield made
    for deployment in made:
        io_loop.run_sync(deployment.stop)


async def storm(deployments, token, ended):
    """Let each client call one server after another until a server tells it that the budget is used up."""
    body, headers = OPUS.request_body(stream=False), {"Authorization": f"Bearer {token}"}
    places = itertools.cycle(deployments)
    statuses = Counter()
    loop = asyncio.get_running_loop()

    async def client(session):
        for place in places:
            path = f"{place.url}/api/v2/aibridge/anthropic{OPUS.path}"
            async with session.post(path, data=body, headers=headers) as response:
                response_body = await response.read()
                statuses[response.status] += 1
            if response.status == 200:
                ended.append(loop.time())
                continue
            assert (response.status, b"AI budget of US$" in response_body) == (403, True), response_body
            return

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
    return statuses


def most_within(times, seconds):
    """How many of sorted times are within the busiest window of that length."""
    busiest, start = 0, 0
    for end, at in enumerate(times):
        while times[start] < at - seconds:
            start += 1
        busiest = max(busiest, end - start + 1)
    return busiest


@pytest.mark.gen_test(timeout=180)
async def test_a_storm_exceeds_a_budget_by_calls_under_way_and_2s_at_most(deployments, token, records, tell):
    await asyncio.gather(*(deployment.start() for deployment in deployments))
    ended: list[float] = []
    statuses = await storm(deployments, token, ended)
    assert statuses == {200: len(ended), 403: CLIENTS}

    async def recorded():
        done = await asyncio.to_thread(records.interceptions.count_documents, {"status": "completed"})
        return done == len(ended)

    await until(recorded, SETTLE_SECONDS)
    costs = await asyncio.to_thread(lambda: Counter(str(one["cost"]["usd"]) for one in records.interceptions.find()))
    assert [float(usd) * MICRO_DOLLARS for usd in costs] == [CALL_MICRO_DOLLARS]
    over = len(ended) - CALLS_IN_BUDGET
    allowed = CLIENTS + most_within(sorted(ended), LAG_SECONDS)
    seconds = max(ended) - min(ended)
    tell(
        f"{len(ended)} calls in {seconds:.1f} s, {over} more than the budget of {CALLS_IN_BUDGET} paid for; "
        f"{allowed} are under way and ended in the busiest {LAG_SECONDS:.0f} s"
    )
    assert 0 <= over <= allowed
