"""Three servers of two workers on a replica set of three, under load, while everything fails in turn."""

import json
import os
import subprocess
import sys
from statistics import median

import pytest

from tests.faults.cluster.stage import NEARLY_ALL
from tests.server_process import ROOT

MINUTES = os.environ.get("FAULTS_CLUSTER_MINUTES", "0")
# A round of faults takes about three minutes, and twice that on a busy machine.
BOUND_SECONDS = 900 + 60 * float(MINUTES)


@pytest.mark.faults
def test_limits_records_and_streams_hold_while_everything_fails_in_turn(tmp_path, tell):
    results = tmp_path / "results.json"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.cluster", "--minutes", MINUTES, "--results", results],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
    )
    tell(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    report = json.loads(results.read_bytes())
    assert {name: report[name] for name in ("over_rate", "over_slots", "cut", "wrong", "held", "complaints")} == {
        "over_rate": [],
        "over_slots": [],
        "cut": [],
        "wrong": {},
        "held": [],
        "complaints": [],
    }
    assert median(number for number, _end in report["full_windows"]) >= NEARLY_ALL
    kinds = {what for what, *_ in report["happened"]}
    assert kinds >= {"paused", "hung", "killed", "reloaded", "restarted"} | (
        {"cut off"} if report["namespaces"] else set()
    )
