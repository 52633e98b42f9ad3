"""The wheel, built once, and installed in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from handlers.dashboard import DashboardFiles
from tests.server_process import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this tree."""
    if not DashboardFiles().installed:
        pytest.skip("the dashboard's libraries are not installed")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "release/backend.py", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def required(found: Distribution, names: set[str]) -> set[str]:
    """The names of what a distribution requires here without extras, and of what those do."""
    from packaging.requirements import Requirement

    for one in map(Requirement, found.requires or ()):
        if one.name not in names and (one.marker is None or one.marker.evaluate({"extra": ""})):
            names.add(one.name)
            required(distribution(one.name), names)
    return names


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """A virtual environment in which pip installed the wheel; what that requires is copied from the one of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin/python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--no-compile",
    ]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    (metadata,) = packages.glob("aibridge-*.dist-info")
    for name in required(Distribution.at(metadata), set()):
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                copy = packages / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(str(file.locate())), copy)
    return folder
