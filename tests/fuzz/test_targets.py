import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import load, names

EACH = pytest.mark.parametrize("name", names())
ROOT = Path(__file__).parents[2]
SMALL = 16 * 1024


@EACH
def test_what_a_fuzz_target_starts_from_holds_already(name):
    target = load(name)
    assert target.seeds
    assert all(target.words)
    for seed in target.seeds:
        if len(seed) < SMALL:
            target.check(seed)
            target.check(seed[: len(seed) // 2])
    target.check(b"")


def fuzz(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_run_says_how_many_inputs_it_tried_and_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    run = fuzz("searches", "--runs=200", "--seed=1", "--findings", str(tmp_path))
    assert run.returncode == 0, run.stdout
    assert re.fullmatch(r"searches: [1-9]\d* inputs, seed 1, nothing found\n", run.stdout)
    assert list(tmp_path.iterdir()) == []
