"""The message when the server cannot even be imported."""

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from runtime.preflight import PACKAGES, problem
from tests.server_process import ROOT

NEEDED_LATER = {"uvloop"}


def test_outside_the_virtual_environment_it_says_what_to_run_instead(tmp_path):
    venv.create(tmp_path / "bare", symlinks=True, with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    run = subprocess.run([bare, "server.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    first, second = run.stderr.splitlines()
    assert (run.returncode, run.stdout) == (1, "")
    assert first == f"{bare} does not have the packages of AI Bridge: {', '.join(PACKAGES)}."
    assert second.startswith(("Use the one in .venv: ", "Run `make run`, "))


def test_an_environment_that_is_there_is_named_and_else_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["server.py", "users", "add", "ada lovelace"])
    assert problem((3, 11), ["tornado"], tmp_path).endswith(
        "\nRun `make run`, which installs them into .venv, or: pip install -r requirements.txt"
    )
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert problem((3, 11), ["tornado"], tmp_path).endswith(
        f"\nUse the one in .venv: {own} server.py users add 'ada lovelace'"
    )


def test_a_python_that_is_too_old_is_told_which_one_is_needed(tmp_path):
    assert problem((3, 10, 2), [], tmp_path).startswith("AI Bridge needs Python 3.11 or newer; this is 3.10.\n")
    assert problem(sys.version_info, [], tmp_path) == ""


def test_the_packages_that_are_looked_for_are_those_of_the_requirements():
    wanted = tomllib.loads(Path(ROOT / "pyproject.toml").read_text())["dependency-groups"]["server"]
    names = {one.partition(">=")[0] for one in wanted} - NEEDED_LATER
    imported = {name: name.replace("-", "_") for name in names} | {"PyYAML": "yaml", "markdown-it-py": "markdown_it"}
    assert sorted(PACKAGES) == sorted(imported.values())
