"""Print what 100,000 users in 1,000 groups with policies cost a process: memory, start, and the delay of a change.

    .venv/bin/python -m benchmarks.people

It needs a mongod, makes its own database in a temporary folder, and takes about a minute.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from pathlib import Path
from time import monotonic, perf_counter, process_time
from typing import Any
from uuid import UUID, uuid4

from intercept.ids import format_id
from limits.policies.effective import Caller
from limits.policies.policy import Budget, Limits, Models, Policy, Rate, SharedLimits, SharedPolicy
from limits.policies.sources import Level, Source
from runtime.process import now
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.policies.documents import KeptPolicy, document_of
from storage.policies.followed import FollowedPolicies
from storage.policies.store import PolicyStore

USERS, GROUPS, GROUPS_OF_USER, USER_POLICIES = 100_000, 1_000, 3, 1_000
CALLERS = 20_000
CHANGES = 20
AT_ONCE = 5_000
MIB = 1024 * 1024


def _memory() -> int:
    """The resident memory of this process, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def fill(database: Database) -> tuple[list[UUID], list[tuple[UUID, tuple[UUID, ...]]]]:
    """Make the groups, users and policies; return the groups, and each user with theirs."""
    at = now()
    groups = [uuid4() for _ in range(GROUPS)]
    common = {"schema_version": 1, "created_at": at, "removed_at": None}
    await database.groups.insert_many(
        [{"_id": id_, "name": f"group-{number}", "display_name": "", **common} for number, id_ in enumerate(groups)]
    )
    users = [
        (uuid4(), tuple(groups[(number * 7 + step * 131) % GROUPS] for step in range(GROUPS_OF_USER)))
        for number in range(USERS)
    ]
    for begin in range(0, USERS, AT_ONCE):
        made = [
            {
                "_id": id_,
                "username": f"user-{begin + number}",
                "display_name": "",
                "role": Role.MEMBER.value,
                "group_ids": list(of),
            }
            | common
            for number, (id_, of) in enumerate(users[begin : begin + AT_ONCE])
        ]
        await database.users.insert_many(made, ordered=False)
    shared = SharedPolicy(
        models=Models(allow=["claude-*", "gpt-*", "demo"]),
        limits=SharedLimits(
            each_member=Limits(rate=Rate(60, "1m"), budget=Budget("50.00", "month")),
            together=Limits(budget=Budget("1000.00", "month")),
        ),
    )
    own = Policy(limits=Limits(concurrency=4, budget=Budget("100.00", "month")))
    policies = [KeptPolicy(Source(Level.EVERYONE), shared, uuid4().hex, at)]
    policies += [
        KeptPolicy(Source(Level.GROUP, format_id(id_), f"group-{number}"), shared, uuid4().hex, at)
        for number, id_ in enumerate(groups)
    ]
    policies += [
        KeptPolicy(Source(Level.USER, format_id(id_), f"user-{number}"), own, uuid4().hex, at)
        for number, (id_, _) in enumerate(users[:USER_POLICIES])
    ]
    await database.policies.insert_many([document_of(kept) for kept in policies])
    return groups, users


async def _seconds_until_changed(store: PolicyStore, followed: FollowedPolicies, group: UUID, caller: Caller) -> float:
    """Change the policy of a group; return how long it takes to reach another process."""

    def more(policy: Any) -> Any:
        return SharedPolicy(models=policy.models, limits=policy.limits, max_tokens=(policy.max_tokens or 0) + 1)

    kept = await store.change(Level.GROUP, str(group), more)
    began = perf_counter()
    while True:
        effective = followed.book.find(caller)
        if effective and effective.max_tokens and effective.max_tokens.maximum == kept.policy.max_tokens:
            return perf_counter() - began
        await asyncio.sleep(0.001)


async def _measure(database: Database) -> None:
    groups, users = await fill(database)
    before = _memory()
    followed = FollowedPolicies(database, now=now)
    began = perf_counter()
    await followed.read()
    print(f"policies read at the start: {len(followed.book):,} in {perf_counter() - began:.2f} s")
    print(f"memory of them: {(_memory() - before) / MIB:.1f} MiB")
    callers = [
        Caller(format_id(id_), f"token{number:05}", tuple(map(format_id, of)))
        for number, (id_, of) in enumerate(users[:CALLERS])
    ]
    held = _memory()
    began = process_time()
    for caller in callers:
        followed.book.find(caller)
    each = (process_time() - began) / CALLERS
    print(
        f"worked out for {CALLERS:,} callers: {each * 1e6:.0f} us of the processor each, {(_memory() - held) / MIB:.1f} MiB kept"
    )
    print(f"memory in all: {(_memory() - before) / MIB:.1f} MiB")
    following = asyncio.create_task(followed.follow())
    await asyncio.sleep(2)
    identities = Identities(database, now=now, monotonic=monotonic)
    store = PolicyStore(database, identities, Groups(database, identities, now=now), now=now)
    waits = []
    for number in range(CHANGES):
        group = groups[number]
        member = next(caller for caller in callers if format_id(group) in caller.groups)
        waits.append(await _seconds_until_changed(store, followed, group, member))
    following.cancel()
    print(
        f"a change is known after {sorted(waits)[CHANGES // 2] * 1e3:.0f} ms, the slowest of {CHANGES} after {max(waits) * 1e3:.0f} ms"
    )


async def _run() -> None:
    with tempfile.TemporaryDirectory(prefix="aibridge-people-") as folder:
        mongodb = await EmbeddedMongoDB.start(Path(folder))
        database = Database.connect(mongodb.uri, "people")
        try:
            await database.prepare_users()
            await _measure(database)
        finally:
            database.close()
            await mongodb.stop()


if __name__ == "__main__":
    asyncio.run(_run())
