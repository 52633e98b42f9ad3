"""Print what 100,000 users in 1,000 groups with policies cost whole servers: start, memory, and the delay of a change.

    .venv/bin/python -m benchmarks.people_servers [--callers N]

Two servers run on one database. It needs a mongod, makes databases in a temporary folder, and takes some minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import click

from benchmarks.api.server import Server, running_server
from benchmarks.people import GROUPS, USERS, fill
from storage.accounts.tokens.text import digest, new_token
from storage.accounts.users import Role
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB

AT_ONCE = 32
CHANGES = 10
STARTS = 5
MESSAGE = {"model": "demo", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
_API = "/api/v2/aibridge"
_REFUSED = 400
_BUSY = 503  # where the machine is too busy for a response of the database in time


async def _add_tokens(database: Database, users: Sequence[UUID]) -> list[str]:
    """Give each user a token; return the tokens."""
    at, tokens = datetime.now(UTC), [new_token() for _ in users]
    documents = []
    for user_id, text in zip(users, tokens, strict=True):
        id_, _, secret = text.partition("-")
        documents.append(
            {
                "_id": id_,
                "schema_version": 1,
                "user_id": user_id,
                "name": "",
                "secret_sha256": digest(secret),
                "created_at": at,
                "expires_at": None,
                "revoked_at": None,
            }
        )
    await database.tokens.insert_many(documents)
    return tokens


async def _add_users(database: Database, number: int) -> list[str]:
    """Add users without groups, each with a token; return the tokens."""
    at = datetime.now(UTC)
    users: list[dict[str, Any]] = [
        {
            "_id": uuid4(),
            "schema_version": 1,
            "username": f"user-{one}",
            "display_name": "",
            "group_ids": [],
            "role": Role.MEMBER.value,
            "created_at": at,
            "removed_at": None,
        }
        for one in range(number)
    ]
    await database.users.insert_many(users)
    return await _add_tokens(database, [user["_id"] for user in users])


async def _add_owner(database: Database) -> str:
    owner = uuid4()
    await database.users.insert_one(
        {
            "_id": owner,
            "schema_version": 1,
            "username": "owner",
            "display_name": "",
            "role": Role.OWNER.value,
            "group_ids": [],
            "created_at": datetime.now(UTC),
            "removed_at": None,
        }
    )
    return (await _add_tokens(database, [owner]))[0]


async def _call(session: aiohttp.ClientSession, server: Server, token: str) -> int:
    url = f"http://127.0.0.1:{server.port}{_API}/demo/v1/messages"
    async with session.post(url, json=MESSAGE, headers={"Authorization": f"Bearer {token}"}) as response:
        await response.read()
        return response.status


async def _call_all(session: aiohttp.ClientSession, server: Server, tokens: Sequence[str], number: int) -> None:
    """Make so many calls, the tokens in turn, some at a time."""
    left = itertools.islice(itertools.cycle(tokens), number)

    async def caller() -> None:
        for token in left:
            while (status := await _call(session, server, token)) == _BUSY:  # noqa: ASYNC110 - another process
                await asyncio.sleep(1)
            if status != 200:
                raise RuntimeError(f"a call was answered with {status}")

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


async def _ready(session: aiohttp.ClientSession, server: Server) -> None:
    while True:
        async with session.get(f"http://127.0.0.1:{server.port}/readyz") as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.01)


async def _start(session: aiohttp.ClientSession, uri: str, name: str) -> float:
    """Start a server; return the seconds until it was ready. They include Python and the demo provider."""
    began = perf_counter()
    with running_server(uri, name, "--demo") as server:
        await _ready(session, server)
        return perf_counter() - began


async def _starts(uri: str, names: Sequence[str]) -> dict[str, float]:
    """The median seconds of a start on each database. The databases are used in turn."""
    async with aiohttp.ClientSession() as session:
        for name in names:
            await _start(session, uri, name)  # the first one makes the indexes
        rounds = [[await _start(session, uri, name) for name in names] for _ in range(STARTS)]
    return {name: median(seconds) for name, seconds in zip(names, zip(*rounds, strict=True), strict=True)}


async def _memory(uri: str, name: str, tokens: Sequence[str], calls: int) -> tuple[float, float]:
    """Start a server and call it; return its MiB at the start and at the end."""
    async with aiohttp.ClientSession() as session:
        with running_server(uri, name, "--demo") as server:
            await _ready(session, server)
            idle = server.resident_kib() / 1024
            await _call_all(session, server, tokens, calls)
            return idle, server.resident_kib() / 1024


async def _changes(uri: str, name: str, owner: str, tokens: Sequence[str], group: UUID) -> list[float]:
    """Change the policy of a group at one server; return the seconds until another server follows it for the members."""
    waits, members = [], itertools.cycle(tokens)
    async with aiohttp.ClientSession() as session:
        with running_server(uri, name, "--demo") as first, running_server(uri, name, "--demo") as second:
            path = f"http://127.0.0.1:{first.port}{_API}/policies/groups/{group}"
            await _ready(session, second)
            for number in range(CHANGES):
                refused = number % 2 == 0
                change = {"max_tokens": 1 if refused else None}
                async with session.patch(path, json=change, headers={"Authorization": f"Bearer {owner}"}) as response:
                    if response.status != 200:
                        raise RuntimeError(await response.text())
                began = perf_counter()
                while (await _call(session, second, next(members)) == _REFUSED) is not refused:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
                waits.append(perf_counter() - began)
    return waits


async def _run(callers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="aibridge-people-") as folder:
        mongodb = await EmbeddedMongoDB.start(Path(folder))
        few, many = Database.connect(mongodb.uri, "few"), Database.connect(mongodb.uri, "many")
        try:
            await few.prepare_users()
            nobody = await _add_users(few, callers)
            await many.prepare_users()
            (group, *_), users = await fill(many)
            tokens = await _add_tokens(many, [id_ for id_, _ in users[:callers]])
            owner = await _add_owner(many)
            seconds = await _starts(mongodb.uri, ("few", "many"))
            before = await _memory(mongodb.uri, "few", nobody, callers)
            after = await _memory(mongodb.uri, "many", tokens, callers)
            for name, (idle, full) in (("few", before), ("many", after)):
                print(
                    f"{name}: ready after {seconds[name]:.2f} s, {idle:.0f} MiB; after {callers:,} calls {full:.0f} MiB"
                )
            more = seconds["many"] - seconds["few"], after[1] - before[1]
            print(f"{USERS:,} users in {GROUPS:,} groups: start {more[0]:+.2f} s, memory {more[1]:+.0f} MiB")
            members = [token for token, (_, of) in zip(tokens, users, strict=False) if group in of]
            waits = await _changes(mongodb.uri, "many", owner, members, group)
            print(f"a change acts on another server after {max(waits) * 1e3:.0f} ms at most, of {len(waits)}")
        finally:
            few.close()
            many.close()
            await mongodb.stop()


@click.command()
@click.option("--callers", type=int, default=10_000, help="How many users call, once each; as many are remembered.")
def main(callers: int) -> None:
    """Measure whole servers."""
    asyncio.run(_run(callers))


if __name__ == "__main__":
    main()
