import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LogWatch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def watch():
    """A watch over one logger, so that the one over the test does not see what it sees."""
    logger = logging.getLogger("watched")
    logger.propagate = False
    watch = LogWatch()
    logger.addHandler(watch)
    yield watch
    logger.removeHandler(watch)
    logger.propagate = True


def test_what_is_declared_and_logged_is_fine(watch):
    logging.getLogger("watched").warning("the %s is away", "database")
    assert watch.lines == ["WARNING watched: the database is away"]
    assert watch.complaints([r"^WARNING watched: the \w+ is away$"]) == []


def test_what_is_logged_and_not_declared_is_told(watch):
    for _ in range(2):
        logging.getLogger("watched").error("broken")
    assert watch.complaints(["other"]) == [
        "logged and not declared: ERROR watched: broken",
        "logged and not declared: ERROR watched: broken",
        "declared and not logged: other",
    ]


def test_what_is_less_than_a_warning_is_nobodys_business(watch):
    logging.getLogger("watched").setLevel(logging.DEBUG)
    logging.getLogger("watched").info("well")
    assert watch.complaints([]) == []


@pytest.mark.expects_log("WARNING here: first$", "second")
@pytest.mark.expects_log("third")
def test_a_mark_declares_what_is_logged(log_watch, expected_logs):
    for text in ("first", "second", "third", "fourth"):
        logging.getLogger("here").warning(text)
    expected_logs.append("fourth")
    assert log_watch.complaints(expected_logs) == []


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


@pytest.mark.gen_test
async def test_a_task_left_behind_is_cancelled_without_a_word():
    asyncio.ensure_future(asyncio.Event().wait())  # noqa: RUF006 - left behind on purpose


def test_the_loop_of_a_test_is_the_current_one(io_loop):
    assert asyncio.get_event_loop_policy().get_event_loop() is io_loop.asyncio_loop


@pytest.mark.gen_test
async def test_every_test_has_an_empty_database(database):
    assert await database.users.count_documents({}) == 0
    await database.users.insert_one({"username": "ada", "removed_at": None})


test_every_test_has_an_empty_database_again = test_every_test_has_an_empty_database


def test_a_coroutine_run_apart_leaves_the_loop_of_the_test_alone(io_loop, run_apart):
    async def loop():
        return asyncio.get_running_loop()

    assert run_apart(loop()) is not io_loop.asyncio_loop
    assert asyncio.get_event_loop_policy().get_event_loop() is io_loop.asyncio_loop
