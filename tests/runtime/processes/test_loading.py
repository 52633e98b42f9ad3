"""When Python's garbage collector runs."""

from __future__ import annotations

import gc
import runpy
import sys

import pytest

import runtime.processes
from tests.server_process import ROOT


@pytest.mark.parametrize("program", ["server.py", "runtime/processes/worker.py"])
def test_garbage_is_looked_for_once_all_is_loaded_and_not_in_what_is_loaded(program, monkeypatch):
    done = []
    monkeypatch.setattr(gc, "disable", lambda: done.append("disable"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "enable", lambda: done.append("enable"))
    monkeypatch.delitem(sys.modules, "runtime.processes.loading", raising=False)
    monkeypatch.delattr(runtime.processes, "loading", raising=False)
    runpy.run_path(str(ROOT / program), run_name="loaded")
    assert done == ["disable", "freeze", "enable"]
