import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import cut, load, names, single_bytes

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


def test_bytes_are_cut_into_the_same_pieces_every_time():
    assert cut(b"0123456789") == cut(b"0123456789")
    assert b"".join(cut(b"0123456789")) == b"0123456789"
    assert len(cut(b"0123456789")) > 1
    assert single_bytes(b"012") == [b"0", b"1", b"2"]


def fuzz(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_finding_is_printed_kept_and_found_again(tmp_path):
    pytest.importorskip("atheris")
    found = fuzz("tests.fuzz.broken_target", "--seed=1", "--findings", str(tmp_path))
    assert found.returncode == 1
    (finding,) = tmp_path.iterdir()
    assert finding.read_bytes().startswith(b"ab")
    assert base64.b64encode(finding.read_bytes()).decode() in found.stdout
    assert "AssertionError: it begins with ab" in found.stdout
    assert "seed 1, FOUND SOMETHING" in found.stdout

    again = fuzz("tests.fuzz.broken_target", "--input", str(finding))
    assert again.returncode == 1
    assert "AssertionError: it begins with ab" in again.stderr


def test_a_run_says_how_many_inputs_it_tried_and_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    run = fuzz("searches", "--runs=200", "--seed=1", "--findings", str(tmp_path))
    assert run.returncode == 0, run.stdout
    assert re.fullmatch(r"searches: [1-9]\d* inputs, seed 1, nothing found\n", run.stdout)
    assert list(tmp_path.iterdir()) == []
