"""Servers of a cluster on one database, limits for them, and what they are asked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of, Period
from storage.admission.cluster import ClusterAuthority, uptime_ns
from storage.admission.ledger import MS
from storage.mongo.errors import DatabaseUnavailableError
from tests.storage.conditions import until

# On a machine that has much else to do a late answer is no database that is unavailable.
LONG_ROUND_SECONDS = 30.0
SHORT_ROUND_SECONDS = 0.5
# As heartbeats are sent only when a test says so.
MISSING_SECONDS = 60.0
ALONE = r"^WARNING storage\.admission\.cluster: limits are server-local until the database is available: "


def rate(maximum, window_s=60, key="token:a"):
    return Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=round(window_s * 1000) * MS)


def slots(maximum, key="server"):
    return Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, key, maximum)


def tokens(maximum, *, reserve=False):
    return Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", maximum, window_ns=60_000 * MS, reserve=reserve)


def budget(maximum, key="user:u"):
    return Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, key, maximum, period=Period.MONTH)


@asynccontextmanager
async def servers(number, database, *, round_seconds=LONG_ROUND_SECONDS, missing=MISSING_SECONDS, **options):
    """So many servers of a cluster, which know of one another. They send heartbeats when `beat` is called."""
    started = []
    for _ in range(number):
        one = ClusterAuthority(database, process=uuid4(), round_seconds=round_seconds, missing=missing, **options)
        await one.open(lambda: {"holding": 0})
        started.append(one)
    for one in started * 2:  # all know of all
        await one.beat()
    yield started
    for one in started:
        await one.close()


async def beat(*authorities):
    for one in authorities:
        await one.beat()
    await until(lambda: not any(one.busy for one in authorities))


async def burst(authorities, number, limits):
    return await asyncio.gather(*(one.start(limits) for one in authorities for _ in range(number)))


def admitted(decisions):
    return sum(decision.ticket is not None for decision in decisions)


async def ledgers(database):
    return await database.limit_ledgers.count_documents({"log": {"$ne": [], "$exists": True}})


async def commands(database):
    status = await database._client.admin.command("serverStatus")
    return sum(status["metrics"]["commands"][name]["total"] for name in ("find", "update", "insert"))


class Cut:
    """The database as a server sees it that is cut off from it."""

    time = None

    def __init__(self, time):
        self.time = time
        self.requests = 0

    def __getattr__(self, name):
        async def send(*_):
            self.requests += 1
            raise DatabaseUnavailableError("it is cut off")

        return send


def cut_off(server):
    cut = Cut(server._store.time)
    server._store = cut
    return cut


@asynccontextmanager
async def two_with_a_clock(database):
    """Two servers, and by how many nanoseconds their clock is ahead."""
    later = [0]
    options = {"round_seconds": SHORT_ROUND_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(2, database, **options) as (ada, bob):
        yield ada, bob, later
