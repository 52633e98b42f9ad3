"""Signals that are about more than one run of a server; how one stops in order is in `test_server_stop.py`."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys

import pytest

from runtime.processes.server import renew_on_hangup, stop_signals
from tests.server_process import ROOT, ServerOfForks


@pytest.fixture
def exits(io_loop, monkeypatch):
    """This process may send itself signals; the codes with which it would have exited at once."""
    exits = []
    monkeypatch.setattr(os, "_exit", exits.append)
    yield exits
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        io_loop.asyncio_loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.gen_test
async def test_a_signal_that_several_senders_passed_on_stops_once(exits, number):
    stopping = stop_signals()
    assert not stopping.is_set()
    for _ in range(3):
        signal.raise_signal(number)
    await stopping.wait()
    assert exits == []


@pytest.mark.usefixtures("exits")
@pytest.mark.gen_test
async def test_sighup_renews_and_does_not_stop_and_one_during_the_start_renews_after_it():
    renewed, stopping = asyncio.Event(), asyncio.Event()
    renew = asyncio.get_running_loop().create_future()
    renew_on_hangup(renew, stopping)
    signal.raise_signal(signal.SIGHUP)
    renew.set_result(renewed.set)
    await renewed.wait()
    renewed.clear()
    signal.raise_signal(signal.SIGHUP)
    await renewed.wait()
    assert not stopping.is_set()


def test_a_server_ends_in_order_with_the_terminal_it_was_started_from(tmp_path, mongodb_uri, database_name):
    where = f"--mongodb-uri {mongodb_uri} --mongodb-database {database_name}"
    flags = f"{where} --data-dir {tmp_path} --http-address 127.0.0.1:0 --workers 2"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", *ServerOfForks.program[1:], *flags.split()])
    said = b""
    while b"Add yourself as an owner" not in said:
        said += os.read(terminal, 1024)
    os.close(terminal)
    assert os.waitpid(pid, 0) == (pid, 0)
