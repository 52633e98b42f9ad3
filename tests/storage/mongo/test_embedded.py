import asyncio
import fcntl
import os
import signal
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from storage.mongo import embedded
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB, EmbeddedUnavailableError, running_uri
from tests.bridge import until

pytestmark = pytest.mark.gen_test(timeout=60)
ROOT = Path(__file__).parents[3]

SERVER = """
import asyncio, sys
from pathlib import Path
from storage.mongo.embedded import EmbeddedMongoDB

async def main():
    mongodb = await EmbeddedMongoDB.start(Path(sys.argv[1]))
    print(mongodb.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "a deep data dir" / ("with a name " * 8).strip() / "data"


async def write(mongodb, number):
    with closing(Database.connect(mongodb.uri, "test")) as database:
        await database.users.insert_one({"_id": number})


async def read(mongodb):
    with closing(Database.connect(mongodb.uri, "test")) as database:
        return [document["_id"] async for document in database.users.find().sort("_id")]


async def refusal(data_dir):
    with pytest.raises(EmbeddedUnavailableError) as caught:
        await EmbeddedMongoDB.start(data_dir)
    return str(caught.value)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def is_alive(pid):
    """Say whether a process runs. One that is dead and not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_killed_server_takes_its_mongod_along_and_the_next_has_its_data_moved(data_dir, monkeypatch):
    data_dir.mkdir(parents=True)
    data_dir.chmod(0o755)
    assert running_uri(data_dir) is None
    await starts_that_fail(data_dir, monkeypatch)
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(data_dir), cwd=ROOT, stdout=subprocess.PIPE
    )
    pid = int(await server.stdout.readline())
    old_uri = running_uri(data_dir)
    assert mode(data_dir) == 0o755
    database = Database.connect(old_uri, "test")
    async with await database._client.start_session() as session, session.start_transaction():
        await database.users.insert_one({"_id": 1}, session=session)
    database.close()
    server.kill()
    await server.wait()
    await until(lambda: not is_alive(pid))
    moved = data_dir.parent / "moved"
    data_dir.rename(moved)
    mongodb = await started_once_the_data_is_let_go(moved)
    await write(mongodb, 2)
    assert (mongodb.uri != old_uri, running_uri(moved), await read(mongodb)) == (True, mongodb.uri, [1, 2])
    await mongodb.stop()
    await mongodb.stop()
    assert running_uri(moved) is None
    assert not embedded._socket_address(moved).parent.exists()
    assert not is_alive(mongodb.pid)


@pytest.mark.expects_log(
    r"^WARNING storage\.mongo\.embedded: the embedded MongoDB ended and is started again: it was killed"
)
async def test_a_mongod_that_is_killed_is_started_again_with_its_data(data_dir, monkeypatch):
    monkeypatch.setattr(embedded, "WATCH_SECONDS", 0.01)
    mongodb = await EmbeddedMongoDB.start(data_dir)
    await write(mongodb, 1)
    first, program = mongodb.pid, mongodb._program
    mongodb._program = data_dir
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EmbeddedUnavailableError, match="cannot be executed: Permission denied"):
        await mongodb.keep()
    mongodb._program = program
    keeping = asyncio.create_task(mongodb.keep())
    await until(lambda: mongodb.pid != first)
    for _ in range(500):  # until it is the primary
        with suppress(PyMongoError):
            await write(mongodb, 2)
            break
        await asyncio.sleep(embedded.WATCH_SECONDS)
    assert await read(mongodb) == [1, 2]
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    await mongodb.stop()
    assert not is_alive(mongodb.pid)


async def starts_that_fail(data_dir, monkeypatch):
    """Starts that say why they fail, and hinder no other."""
    folder = data_dir / "mongodb"
    folder.mkdir()
    with (folder / "mongod.lock").open("w+") as old, monkeypatch.context() as patch:
        patch.setattr(embedded, "RELEASE_SECONDS", 0.1)
        old.write("4321\n")
        old.flush()
        fcntl.flock(old, fcntl.LOCK_EX)
        assert await refusal(data_dir) == (
            f"the data in {folder} is in use by mongod process 4321: stop it, or set data-dir to another folder"
        )

    start = asyncio.create_task(EmbeddedMongoDB.start(data_dir))
    await asyncio.sleep(0)  # the mongod is starting
    sockets = embedded._socket_address(data_dir).parent
    assert sockets.exists()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not sockets.exists()

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "START_SECONDS", 0.01)
        assert await refusal(data_dir) == "mongod was not ready after 0.01 s: see mongodb/mongod.log in the data-dir"


async def started_once_the_data_is_let_go(data_dir):
    """Start one while another process holds the data, which lets it go, and another one, which is refused."""
    with (data_dir / "mongodb" / "mongod.lock").open("r+") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        start = asyncio.create_task(EmbeddedMongoDB.start(data_dir))
        await asyncio.sleep(0)
        with pytest.raises(EmbeddedUnavailableError):
            await EmbeddedMongoDB.start(data_dir)
        assert not start.done()
    return await start


@pytest.mark.usefixtures("mongodb")
async def test_only_its_owner_gets_at_the_data_and_the_socket(memory, data_dir):
    address = embedded._socket_address(memory)
    assert [mode(folder) for folder in (memory / "mongodb", address.parent)] == [0o700] * 2
    assert (mode(address), mode(memory / "lock")) == (0o600, 0o600)
    assert len(os.fsencode(embedded._socket_address(data_dir))) == len(os.fsencode(address)) < 100


def listening(pid):
    """Return the inodes of all TCP sockets of a process and the paths of its others."""
    own = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}

    def table(name):
        return [line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]

    tcp = {fields[9] for fields in (*table("tcp"), *table("tcp6")) if f"socket:[{fields[9]}]" in own}
    return tcp, {fields[7] for fields in table("unix") if len(fields) > 7 and f"socket:[{fields[6]}]" in own}


async def test_it_listens_nowhere_else(mongodb, memory):
    assert listening(mongodb.pid) == (set(), {str(embedded._socket_address(memory))})


async def test_a_second_server_on_one_data_dir_is_refused(mongodb, memory):
    assert await refusal(memory) == (
        f"the data-dir {memory} is in use by another server (process {os.getpid()}): "
        "stop it, or set data-dir to another folder"
    )
    assert running_uri(memory) == mongodb.uri


async def test_a_mongod_that_ends_early_is_quoted(data_dir):
    folder = data_dir / "mongodb"
    folder.mkdir(parents=True)
    (folder / "storage.bson").write_bytes(b"no BSON")
    assert (await refusal(data_dir)).startswith(
        "mongod does not start: Unable to read the storage engine metadata file: Incorrect BSON length"
    )
    assert running_uri(data_dir) is None


@pytest.fixture
def squatted(data_dir):
    """Somebody else's thing in the place of the socket's folder; yields the folder, removes what is there afterwards."""
    folder = embedded._socket_address(data_dir).parent
    yield folder
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        folder.rmdir()


@pytest.mark.parametrize("squat", ["link", "open", "file", "foreign"])
async def test_a_folder_for_the_socket_that_is_not_private_is_refused(data_dir, squatted, tmp_path, squat, monkeypatch):
    if squat == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        squatted.symlink_to(tmp_path / "theirs")
    elif squat == "open":
        squatted.mkdir()
        squatted.chmod(0o770)
    elif squat == "file":
        squatted.touch(mode=0o600)
    else:
        squatted.mkdir(mode=0o700)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert await refusal(data_dir) == f"{squatted} is not a private folder of this user: remove it and start again"
    assert running_uri(data_dir) is None
