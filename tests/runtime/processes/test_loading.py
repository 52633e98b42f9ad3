"""When Python's garbage collector runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.server_process import ROOT

LOADED = """
import gc, runpy, sys
runpy.run_path(sys.argv[1], run_name="loaded")
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize("program", ["server.py", "runtime/processes/worker.py"])
def test_garbage_is_looked_for_once_all_is_loaded_and_not_in_what_is_loaded(program):
    command = [sys.executable, "-c", LOADED, program]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "True True\n"
