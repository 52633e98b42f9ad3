"""A replica set of three, each member a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storage.mongo.mongod import Mongod, arguments, find_program
from tests.faults.waiting import until

MEMBERS = 3
START_SECONDS = 60


class ReplicaSet:
    """Three mongods on this machine. A member is known by its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = _free_ports(MEMBERS)
        self._mongods: dict[int, Mongod] = {}

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(self._hosts)}/?replicaSet=rs0"

    async def start(self) -> None:
        """Start it and wait until every member has its part."""
        for port in self._ports:
            self.start_member(port)
        members = [{"_id": number, "host": host} for number, host in enumerate(self._hosts)]

        async def initiated() -> bool:
            return await asyncio.to_thread(
                _admits, self._ports[0], {"replSetInitiate": {"_id": "rs0", "members": members}}
            )

        await until(initiated, START_SECONDS)
        await self.complete()

    def start_member(self, port: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        program = find_program()
        assert program is not None
        command = arguments(database_dir=folder, socket=Path("127.0.0.1"))
        self._mongods[port] = Mongod(program, [*command, "--port", str(port)], folder / "mongod.log")

    async def kill_member(self, port: int) -> None:
        mongod = self._mongods[port]
        os.kill(mongod.pid, signal.SIGKILL)
        await mongod.stop()

    async def complete(self) -> None:
        """Wait until there is a primary and all the others follow it."""

        async def all_there() -> bool:
            roles = [await asyncio.to_thread(_role, port) for port in self._ports]
            return sorted(roles) == ["primary", "secondary", "secondary"]

        await until(all_there, START_SECONDS)

    async def primary(self) -> int:
        """The port of the primary, as soon as there is one that is alive."""
        found: list[int] = []

        async def elected() -> bool:
            alive = [port for port in self._ports if self._mongods[port].running]
            found[:] = [port for port in alive if await asyncio.to_thread(_role, port) == "primary"]
            return bool(found)

        await until(elected, START_SECONDS)
        return found[0]

    async def kill(self) -> None:
        for port, mongod in self._mongods.items():
            if mongod.running:
                await self.kill_member(port)

    @property
    def _hosts(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self._ports]


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _member(port: int) -> MongoClient[dict[str, object]]:
    return MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1_000)


def _admits(port: int, command: dict[str, object]) -> bool:
    try:
        with _member(port) as client:
            return client.admin.command(command)["ok"] == 1
    except PyMongoError:
        return False


def _role(port: int) -> str:
    try:
        with _member(port) as client:
            answer = client.admin.command("hello")
    except PyMongoError:
        return "away"
    return "primary" if answer["isWritablePrimary"] else "secondary" if answer["secondary"] else "starting"
