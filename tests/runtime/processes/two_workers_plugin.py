"""Fixtures: a running server of two workers, and a provider for it."""

from __future__ import annotations

import pytest

from tests.runtime.processes.two_workers import TwoWorkers, Upstream
from tests.server_process import remove_sockets


@pytest.fixture
def upstream(io_loop):
    upstream = io_loop.run_sync(Upstream.start)
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
def server(io_loop, upstream, data_dir, flags):
    """A running server of two workers; what still runs after the test is ended."""
    server = TwoWorkers(data_dir, upstream, *flags)
    io_loop.run_sync(server.ready)
    yield server
    server.kill()
    io_loop.run_sync(server.leave)
