"""Each benchmark runs, shortly, and prints its table."""

import subprocess
import sys

import pytest

from benchmarks import micro
from benchmarks.api.requests import shapes
from tests.cases import for_each
from tests.mongodb.memory import data_folder
from tests.server_process import ROOT

pytestmark = pytest.mark.night


def run(*arguments):
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_kind_of_request_is_measured_on_a_filled_database(tmp_path):
    with data_folder(tmp_path) as folder:
        printed = run("benchmarks.api", "--records", "120", "--requests", "1", "--data-dir", str(folder))
    rows = [line.split(" | ")[0].removeprefix("| ") for line in printed.splitlines() if line.startswith("| ")]
    assert rows == ["request", *(shape.name for shape in shapes(120))]


def test_a_gateway_is_measured_beside_no_gateway():
    only = ("--only", "direct", "--only", "AI Bridge", "--row", "blocking, 1 at a time")
    printed = run("benchmarks.gateways", "--quick", *only)
    for label in ("blocking, 1 at a time: requests/s", "resident, idle, MB"):
        (row,) = (line for line in printed.splitlines() if line.startswith(f"| {label} |"))
        assert float(row.split(" | ")[-1].rstrip(" |").replace(",", "")) > 0


@for_each("part", [*micro.dialects(), *micro.limiters(), *micro.records()])
def test_each_pure_part_can_be_called(part):
    part.call()
