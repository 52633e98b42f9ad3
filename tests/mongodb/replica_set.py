"""A replica set of three, each member a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storage.mongo.mongod import Mongod, arguments, find_program
from tests.faults.waiting import until
from tests.ports import free_ports

MEMBERS = 3
START_SECONDS = 60


class Member(NamedTuple):
    """Where a member listens, `host:port`, and a command that runs it there, such as nsenter(1)."""

    address: str
    through: tuple[str, ...] = ()


class ReplicaSet:
    """Three mongods, each known by its address. Without a primary for `election_ms` the others elect one.

    Where a busy machine exceeds that, a primary steps down again and again, and no write ends.
    """

    def __init__(self, folder: Path, members: Sequence[Member] = (), election_ms: int = 10_000) -> None:
        self._folder = folder
        self._members = {one.address: one for one in members or map(Member, free_addresses(MEMBERS))}
        self._election_ms = election_ms
        self._mongods: dict[str, Mongod] = {}

    @property
    def addresses(self) -> list[str]:
        return list(self._members)

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(self._members)}/?replicaSet=rs0"

    async def start(self) -> None:
        for address in self._members:
            self.start_member(address)
        members = [{"_id": number, "host": address} for number, address in enumerate(self._members)]
        settings = {"electionTimeoutMillis": self._election_ms}
        command = {"replSetInitiate": {"_id": "rs0", "members": members, "settings": settings}}

        async def initiated() -> bool:
            return await asyncio.to_thread(_admits, self.addresses[0], command)

        await until(initiated, START_SECONDS)
        await self.complete()

    def start_member(self, address: str) -> None:
        folder = self._folder / address.replace(":", "-")
        folder.mkdir(parents=True, exist_ok=True)
        program = find_program()
        assert program is not None
        host, port = address.split(":")
        command = [*arguments(database_dir=folder, socket=Path(host)), "--port", port]
        first, *others = *self._members[address].through, program
        self._mongods[address] = Mongod(Path(first), [*map(str, others), *command], folder / "mongod.log")

    async def kill_member(self, address: str) -> None:
        self.signal_member(address, signal.SIGKILL)
        await self.end_member(address)

    async def end_member(self, address: str) -> None:
        await self._mongods[address].stop()

    def signal_member(self, address: str, number: signal.Signals) -> None:
        os.kill(self._mongods[address].pid, number)

    async def complete(self) -> None:
        """Wait until there is a primary and all the others follow it."""

        async def all_there() -> bool:
            roles = [await asyncio.to_thread(_role, address) for address in self._members]
            return sorted(roles) == ["primary", "secondary", "secondary"]

        await until(all_there, START_SECONDS)

    async def primary(self) -> str:
        """The address of the primary, as soon as there is one that is alive."""
        found: list[str] = []

        async def elected() -> bool:
            alive = [address for address in self._members if self._mongods[address].running]
            found[:] = [address for address in alive if await asyncio.to_thread(_role, address) == "primary"]
            return bool(found)

        await until(elected, START_SECONDS)
        return found[0]

    async def kill(self) -> None:
        for address, mongod in self._mongods.items():
            if mongod.running:
                await self.kill_member(address)


def free_addresses(number: int) -> list[str]:
    return [f"127.0.0.1:{port}" for port in free_ports(number)]


def _member(address: str, seconds: int) -> MongoClient[dict[str, object]]:
    milliseconds = 1_000 * seconds
    uri = f"mongodb://{address}/?directConnection=true"
    return MongoClient(uri, serverSelectionTimeoutMS=1_000, connectTimeoutMS=1_000, socketTimeoutMS=milliseconds)


def _admits(address: str, command: dict[str, object]) -> bool:
    try:
        with _member(address, START_SECONDS) as client:
            return client.admin.command(command)["ok"] == 1
    except PyMongoError:
        return False


def _role(address: str) -> str:
    try:
        with _member(address, 1) as client:
            response = client.admin.command("hello")
    except PyMongoError:
        return "unavailable"
    return "primary" if response["isWritablePrimary"] else "secondary" if response["secondary"] else "starting"
