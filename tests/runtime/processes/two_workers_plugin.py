"""Fixtures: a running server of two workers, and a provider for it."""

import pytest

from tests.runtime.processes.two_workers import TwoWorkers, Upstream
from tests.server_process import remove_sockets


@pytest.fixture
def upstream(io_loop):
    upstream = io_loop.run_sync(Upstream().start)
    yield upstream
    io_loop.run_sync(upstream.stop)


@pytest.fixture
def data_dir(tmp_path):
    yield tmp_path / "data"
    remove_sockets(tmp_path / "data")


@pytest.fixture
def flags():
    """What else stands on its command line."""
    return ()


@pytest.fixture
def run(io_loop):
    """Start a server of two workers, given its arguments, and wait until it serves; ended after the test if it still runs."""
    servers = []

    def run(*arguments, **options):
        servers.append(TwoWorkers(*arguments, **options))
        io_loop.run_sync(servers[-1].ready)
        return servers[-1]

    yield run
    for server in servers:
        server.kill()
        io_loop.run_sync(server.leave)


@pytest.fixture
def where(mongodb_uri, database_name):
    return {"mongodb_uri": mongodb_uri, "database_name": database_name}


@pytest.fixture
def server(run, upstream, data_dir, flags, where):
    return run(data_dir, upstream, *flags, **where)


@pytest.fixture
def server_with_mongodb(run, upstream, data_dir, flags):
    """A running server of two workers, and its own MongoDB below it."""
    return run(data_dir, upstream, *flags)
