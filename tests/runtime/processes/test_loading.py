"""When Python's garbage collector runs."""

from __future__ import annotations

import gc
import runpy
import sys

import pytest

import runtime.processes
from tests.server_process import ROOT


@pytest.fixture
def done(monkeypatch):
    """What was done about garbage."""
    done = []
    monkeypatch.setattr(gc, "disable", lambda: done.append("disable"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "enable", lambda: done.append("enable"))
    return done


@pytest.mark.parametrize("program", ["server.py", "runtime/processes/worker.py"])
def test_garbage_is_looked_for_once_all_is_loaded_and_not_in_what_is_loaded(program, done, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: True)
    monkeypatch.delitem(sys.modules, "runtime.processes.loading", raising=False)
    monkeypatch.delattr(runtime.processes, "loading", raising=False)
    runpy.run_path(str(ROOT / program), run_name="loaded")
    assert done == ["disable", "freeze", "enable"]


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_looked_for_afterwards_only_if_it_was_before(enabled, done, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: enabled)
    runpy.run_path(str(ROOT / "runtime/processes/loading.py"))["end"]()
    assert done == ["disable", "freeze", *["enable"] * enabled]


@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_loaded_later_leaves_the_search_for_garbage_as_it_was(enabled, done, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: not enabled)
    loading = runpy.run_path(str(ROOT / "runtime/processes/loading.py"))
    monkeypatch.setattr(gc, "isenabled", lambda: enabled)
    assert loading["load"]("gc", "collect") is gc.collect
    assert done == ["disable", "disable", "freeze", *["enable"] * enabled]
