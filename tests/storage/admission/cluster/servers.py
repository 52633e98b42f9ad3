"""Servers of a cluster on one database, limits for them, and what they are asked."""

import asyncio
from contextlib import asynccontextmanager, suppress
from uuid import uuid4
from weakref import WeakKeyDictionary

from intercept.refusals import Rule
from limits.limit import BudgetPeriod, Limit, LimitKind, Of
from storage.admission.cluster import ClusterAuthority
from storage.admission.ledger import MS
from storage.members.membership import Membership, Waits
from storage.mongo.clocks import uptime_ns
from storage.mongo.errors import DatabaseUnavailableError
from tests.bridge import until

# On a machine that has much else to do a late answer is no database that is unavailable.
LONG_ROUND_SECONDS = 30.0
SHORT_ROUND_SECONDS = 0.5
# As heartbeats are sent only when a test says so.
MISSING_SECONDS = 60.0
MEMBERSHIPS = WeakKeyDictionary()
DATABASES = WeakKeyDictionary()
ALONE = r"^WARNING storage\.admission\.cluster: limits are server-local until the database is available: "


def rate(maximum, window_s=60, key="token:a"):
    return Limit(LimitKind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=round(window_s * 1000) * MS)


def slots(maximum, key="server"):
    return Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, key, maximum)


def tokens(maximum, *, reserve=False):
    return Limit(LimitKind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", maximum, window_ns=60_000 * MS, reserve=reserve)


def budget(maximum, key="user:u"):
    return Limit(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, key, maximum, period=BudgetPeriod.MONTH)


async def join(database, *, round_seconds=LONG_ROUND_SECONDS, now_ns=uptime_ns, folder=None, waits=None):
    """A server of a cluster, which sends heartbeats when `beat` is called."""
    database = database.beside("")
    membership = Membership(
        database,
        process=uuid4(),
        folder=folder,
        answer_seconds=4 * round_seconds,
        waits=waits or Waits(missing=MISSING_SECONDS),
        now_ns=now_ns,
    )
    one = ClusterAuthority(database, membership, round_seconds=round_seconds, now_ns=now_ns)
    one.open()
    await membership.open()
    MEMBERSHIPS[one], DATABASES[one] = membership, database
    return one


async def leave(one):
    await one.close()
    await MEMBERSHIPS[one].close()


@asynccontextmanager
async def servers(number, database, **options):
    """So many servers of a cluster, which know of one another."""
    started = [await join(database, **options) for _ in range(number)]
    await beat(*started, *started)  # all know of all
    yield started
    for one in started:
        await leave(one)


async def beat(*authorities):
    for one in authorities:
        with suppress(DatabaseUnavailableError):
            await MEMBERSHIPS[one].beat()
    await until(lambda: not any(one.busy for one in authorities))


async def burst(authorities, number, limits):
    return await asyncio.gather(*(one.start(limits) for one in authorities for _ in range(number)))


def admitted(decisions):
    return sum(decision.ticket is not None for decision in decisions)


async def ledgers(database):
    return await database.limit_ledgers.count_documents({"log": {"$ne": [], "$exists": True}})


class Unreachable:
    """A collection as a server sees it that is cut off from the database."""

    def __getattr__(self, name):
        raise DatabaseUnavailableError("it is cut off")


def cut_off(server):
    DATABASES[server].members = DATABASES[server].limit_ledgers = Unreachable()


def join_again(server, database):
    DATABASES[server].members, DATABASES[server].limit_ledgers = database.members, database.limit_ledgers


@asynccontextmanager
async def two_with_a_clock(database):
    """Two servers, and by how many nanoseconds their clock is ahead."""
    later = [0]
    options = {"round_seconds": SHORT_ROUND_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(2, database, **options) as (ada, bob):
        yield ada, bob, later
