"""Fixtures of every test: a real MongoDB, and a watch over the log.

A test that logs a warning or an error it did not declare fails, and so does one that declares what is not logged:

    @pytest.mark.expects_log(r"WARNING storage\\.recording\\.recorder: the database is unavailable")

The pattern is searched in `LEVEL logger: message`. Where a pattern is known only later, ask for the `expected_logs`
fixture and append it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import re
import signal
import sys
from functools import partial

import hypothesis
import pytest
from tornado.ioloop import IOLoop

from http1.server import BridgeServer
from storage.mongo.embedded import EmbeddedMongoDB
from tests.mongodb.databases import Databases
from tests.mongodb.memory import data_folder

pytest_plugins = [
    "tests.bridge",
    "tests.openid_provider.process",
    "tests.mongodb.database_timeouts",
    "tests.storage.outages",
    "tests.upstream.credentials.entra_endpoint",
    "tests.upstream.throwaway_ca",
]


def register(name: str, max_examples: int, *, repeats: bool = "CI" in os.environ) -> None:
    """Have a profile. Two cores are shared with a mongod: how long an example takes says nothing."""
    hypothesis.settings.register_profile(
        name, deadline=None, database=None, derandomize=repeats, max_examples=max_examples
    )


# In CI the examples are the same each time, so that a change is refused for what it does; elsewhere they are new ones.
register("aibridge", 20)
# For a time when nobody waits: `make properties`.
register("thorough", 500)
# The same examples each time, so that the same lines are run.
register("coverage", 20, repeats=True)
hypothesis.settings.load_profile("aibridge")


STARTING_SERVERS = (
    *("tests/runtime/", "tests/server/", "tests/handlers/openapi/", "tests/verify/"),
    *("tests/faults/", "tests/commands/", "tests/dashboard/", "tests/clients/"),
)


def pytest_configure(config):
    gc.disable()  # until all tests are collected: modules leave no garbage that is worth a search
    config.addinivalue_line("markers", "night: slow, or needs large downloads; left out unless asked for with -m")
    config.addinivalue_line("markers", "faults: takes minutes; left out unless asked for with -m")
    config.addinivalue_line("markers", "expects_log(pattern): the test logs this warning or error, at least once")
    config.addinivalue_line(
        "markers", "timed: the test bounds processor time, so it says nothing while lines are counted"
    )


def pytest_itemcollected(item):
    """Run each test that is a coroutine on the event loop of its `io_loop`, unasked."""
    if inspect.iscoroutinefunction(getattr(item, "obj", None)) and not item.get_closest_marker("gen_test"):
        item.add_marker("gen_test")


def pytest_collection_modifyitems(config, items):
    """Leave out what is not asked for by its mark. Begin with tests that wait for servers, so that none is alone in the end."""
    left_out = [
        item
        for item in items
        for mark in ("night", "faults")
        if mark not in config.option.markexpr and item.get_closest_marker(mark)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: not item.nodeid.startswith(STARTING_SERVERS))


def pytest_collection_finish():
    """Let a search for garbage look at what tests make, and not at the million objects that all modules are made of."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_sessionfinish():
    """Keep which lines were counted: a process of many that is slow to end is killed."""
    coverage = sys.modules.get("coverage")
    if coverage and (counted := coverage.Coverage.current()):
        counted.save()


class LogWatch(logging.Handler):
    """Collects warnings and errors as `LEVEL logger: message`."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def has(self, pattern):
        """Whether a line was logged, for a test that has to wait for it."""
        return any(re.search(pattern, line) for line in self.lines)

    def complaints(self, patterns):
        """Compare what was logged with what was declared."""
        undeclared = [line for line in self.lines if not any(re.search(pattern, line) for pattern in patterns)]
        missing = [pattern for pattern in patterns if not self.has(pattern)]
        return [f"logged and not declared: {line}" for line in undeclared] + [
            f"declared and not logged: {pattern}" for pattern in missing
        ]


@pytest.fixture
def expected_logs(request):
    """Patterns of the warnings and errors this test logs, those of its marks first."""
    return [pattern for mark in request.node.iter_markers("expects_log") for pattern in mark.args]


@pytest.fixture(autouse=True)
def log_watch(expected_logs):
    """Fail the test when its log is not what it declared; what its fixtures log while closing counts too."""
    watch = LogWatch()
    logging.getLogger().addHandler(watch)
    try:
        yield watch
        gc.collect(1)  # a task that failed unseen says so when it is collected
    finally:
        logging.getLogger().removeHandler(watch)
    if complaints := watch.complaints(expected_logs):
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def new_event_loop():
    """What makes the event loop of a test."""
    return asyncio.new_event_loop


@pytest.fixture
def io_loop(new_event_loop):
    """The event loop of one test; tasks it leaves behind are cancelled. Replaces the plugin's, which is deprecated."""
    loop = IOLoop(make_current=False, asyncio_loop=new_event_loop())
    asyncio.set_event_loop(loop.asyncio_loop)
    yield loop
    loop.run_sync(_cancel_the_rest)
    asyncio.set_event_loop(None)
    loop.close()


async def _cancel_the_rest():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.fixture
def http_server(io_loop, app, _unused_port):
    """The server for the application of a test."""
    server = BridgeServer(app, max_connections=1000)
    io_loop.run_sync(partial(_add_sockets, server, _unused_port[0]))
    yield server
    server.stop()
    io_loop.run_sync(server.close_all_connections)


async def _add_sockets(server, *sockets):
    server.add_sockets(sockets)


@pytest.fixture(scope="session")
def run_apart():
    """Run a coroutine to its end on an event loop of its own, leaving the current one of a test alone."""

    def run(coroutine):
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A folder of this test run, in memory where there is room."""
    with data_folder(tmp_path_factory.mktemp("data")) as folder:
        yield folder


@pytest.fixture(scope="session")
def mongodb(memory, run_apart):
    """The MongoDB of this test run. Who stops it or ends it starts one of their own instead."""
    mongodb = run_apart(EmbeddedMongoDB.start(memory))
    yield mongodb
    os.kill(mongodb.pid, signal.SIGKILL)  # nobody needs its data, which it would write to the last page
    run_apart(mongodb.stop())


@pytest.fixture(scope="session")
def mongodb_uri(mongodb):
    """Where it answers."""
    return mongodb.uri


@pytest.fixture(scope="session")
def databases(mongodb_uri, run_apart):
    """What databases there are in it."""
    databases = Databases(mongodb_uri, run_apart, journal=False)
    yield databases
    databases.close()


@pytest.fixture
def database_name(patient_with_mongodb, databases):
    """The name of an empty database with its indexes, for this test alone."""
    name = databases.take()
    yield name
    databases.give_back(name)


@pytest.fixture
def database(io_loop, databases, database_name):
    """That database. Its connections are those of other tests: a test that breaks or closes some opens its own."""
    return databases.connect(database_name)
