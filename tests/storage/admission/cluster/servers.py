"""Servers of a cluster on one database, limits for them, and what they are asked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of, Period
from storage.admission.cluster import ClusterAuthority, uptime_ns
from storage.admission.kinds.parameters import MS
from storage.admission.ledger_store import BEAT_MS
from storage.admission.round import Snapshot
from storage.mongo.errors import DatabaseUnavailableError
from tests.storage.conditions import until

# On a machine that has much else to do a late answer is no database that is unavailable.
LONG_ROUND_SECONDS = 30.0
SHORT_ROUND_SECONDS = 0.5
# As heartbeats are sent only when a test says so.
MISSING_SECONDS = 60.0
HIDDEN_NS = round(1000 * (MISSING_SECONDS + SHORT_ROUND_SECONDS)) * MS + 2 * BEAT_MS * MS
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
    started, opening = [], True

    async def pause(seconds):
        if not opening:
            await asyncio.sleep(seconds)
        for one in started if opening else ():
            await one._beat()

    for _ in range(number):
        one = ClusterAuthority(
            database, process=uuid4(), round_seconds=round_seconds, missing=missing, pause=pause, **options
        )
        await one.open(lambda: {"holding": 0})
        started.append(one)
    await pause(0)  # all know of all
    opening = False
    yield started
    for one in started:
        await one.close()


async def beat(*authorities):
    for one in authorities:
        one._permits.tick()
        await one._beat()
        one._rounds.work()
    await until(lambda: not any(one._rounds._task for one in authorities))


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

    def __init__(self, clock):
        self.clock = clock
        self.requests = 0

    async def snapshot(self, names):
        """What time it is can be known without the database."""
        result = self.clock.read()
        return Snapshot({}, *result) if result is not None and not names else await self.read(names)

    def __getattr__(self, name):
        async def send(*_):
            self.requests += 1
            raise DatabaseUnavailableError("it is cut off")

        return send


def cut_off(server):
    cut = Cut(server._store.clock)
    server._store = server._presence._store = server._rounds._store = cut
    return cut


@asynccontextmanager
async def two_with_a_clock(database):
    """Two servers, and by how many nanoseconds their clock is ahead."""
    later = [0]
    options = {"round_seconds": SHORT_ROUND_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(2, database, **options) as (ada, bob):
        yield ada, bob, later
