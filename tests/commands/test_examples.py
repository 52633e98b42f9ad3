"""An invented company, by the command line."""

from __future__ import annotations

import pytest

from storage.examples import store
from tests.command_line import refused


@pytest.fixture(autouse=True)
def two_days(monkeypatch):
    """Two months take a minute."""
    monkeypatch.setattr(store, "DAYS", 2)
    monkeypatch.setattr(store, "FEWEST_DAYS", 2)


def test_it_is_filled_in_and_removed(output, run, database, io_loop):
    said = output("examples", "fill").splitlines()
    assert said[-1].endswith("calls. Remove it with: python server.py examples remove")
    calls = io_loop.run_sync(lambda: database.interceptions.count_documents({}))
    assert said[-1].startswith(f"The invented company is there: {calls:,} calls.")
    there = "Error: the invented company is there already, or being removed\n"
    assert refused(run("examples", "fill")) == (1, there)
    assert output("examples", "remove").splitlines()[-1] == "The invented company is removed."
    for collection in (database.interceptions, database.users, database.examples):
        assert io_loop.run_sync(lambda collection=collection: collection.count_documents({})) == 0
    assert refused(run("examples", "remove")) == (1, "Error: there is no invented company\n")


def test_a_database_that_no_server_has_prepared_is_refused(run, database, io_loop):
    io_loop.run_sync(database.interceptions.drop)
    said = "Error: start the server once first: it creates the indexes of the database\n"
    assert refused(run("examples", "fill")) == (1, said)
