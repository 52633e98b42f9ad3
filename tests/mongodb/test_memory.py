"""The remains of test runs in memory."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

from storage.mongo.embedded import _socket_address
from tests.mongodb.memory import PREFIX, STARTING_SECONDS, remove_left


@pytest.fixture
def made(tmp_path):
    """Makes the database of a run that began some seconds ago."""

    def make(name, began_ago):
        folder = tmp_path / name
        (folder / "mongodb").mkdir(parents=True)
        (folder / "lock").touch()
        at = time.time() - began_ago
        os.utime(folder / "lock", (at, at))
        return folder

    return make


def test_databases_of_runs_that_are_gone_are_removed_with_their_sockets(made, tmp_path):
    folder = made(f"{PREFIX}gone", 2 * STARTING_SECONDS)
    socket = _socket_address(folder)
    socket.parent.mkdir(mode=0o700)
    socket.touch()
    remove_left(tmp_path)
    assert not folder.exists()
    assert not socket.parent.exists()


def test_what_a_run_holds_or_has_just_made_stays_and_so_does_all_else(made, tmp_path):
    held = made(f"{PREFIX}held", 2 * STARTING_SECONDS)
    begun = made(f"{PREFIX}begun", 0)
    other = made("other", 2 * STARTING_SECONDS)
    (tmp_path / f"{PREFIX}made").mkdir()
    with (held / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_left(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([held, begun, other, tmp_path / f"{PREFIX}made"])
    assert (held / "mongodb").is_dir()
