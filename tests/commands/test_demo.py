"""The demo company, by the command line."""

from __future__ import annotations

import re

from storage.demo.store import SUFFIX
from tests.command_line import refused


def test_it_is_filled_in_and_removed(output, run, database, io_loop):
    records = database.beside(SUFFIX)
    said = output("demo", "fill", "--days", "1").splitlines()
    calls = io_loop.run_sync(lambda: records.interceptions.count_documents({}))
    remove = "Remove it with: python server.py demo remove"
    assert said[-1] == f"The demo company is there: {calls:,} calls. {remove}"
    assert output("demo", "fill", "--days", "1")  # in the place of the other one
    assert output("demo", "remove").splitlines() == ["The demo company is removed."]
    assert io_loop.run_sync(lambda: records.users.count_documents({})) == 0
    assert refused(run("demo", "remove")) == (1, "Error: there is no demo company\n")
    assert re.search("0<=x<=61|1<=x<=61", run("demo", "fill", "--days", "0").output)
