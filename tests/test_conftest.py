import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def outcome(tmp_path, test):
    """Run tests with this project's conftest; return why some failed, and which."""
    path = tmp_path / "test_it.py"
    path.write_text(test)
    (tmp_path / "conftest.py").write_text("from tests.conftest import *")
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    told = [
        line
        for line in run.stdout.splitlines()
        if line.startswith(("logged", "declared", "ERROR test_it", "FAILED test_it"))
    ]
    return [line.split(" - ")[0].split("::")[-1] for line in told]


def test_an_undeclared_warning_and_a_task_that_fails_unseen_fail_their_tests(tmp_path):
    test = """
import asyncio, logging, pytest
def test_other():
    pass
def test_warning():
    logging.getLogger("x").warning("oh")
@pytest.mark.gen_test
async def test_task():
    async def fail():
        raise ValueError("unseen")
    asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
"""
    assert outcome(tmp_path, test) == [
        "logged and not declared: WARNING x: oh",
        "logged and not declared: ERROR asyncio: Task exception was never retrieved",
        *("test_warning", "test_task"),
    ]
