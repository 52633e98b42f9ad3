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
    """A virtual environment with the wheel as uv installs it; what that requires is copied from the one of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True, with_pip=False)
    uv = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "install",
        "--quiet",
        "--no-cache",
        "--python",
        folder / "bin/python",
    ]
    subprocess.run([*uv, "--no-deps", "--no-index", wheel], check=True)
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    (metadata,) = packages.glob("aibridge-*.dist-info")
    for name in required(Distribution.at(metadata), set()):
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                copy = packages / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(str(file.locate())), copy)
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """That of the account; compiled modules stay there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def mark(tmp_path):
    """The file that is there as soon as foreign code ran."""
    return tmp_path / "foreign code ran"


@pytest.fixture
def foreign(mark):
    """A line of foreign code."""
    return f"open({str(mark)!r}, 'w').close()\n"


class Attacked:
    """An installed bridge into which files are put, all of them removed in the end."""

    def __init__(self, environment, home):
        self._environment, self.home = environment, home
        self.command = environment / "bin/aibridge"
        (self.packages,) = environment.glob("lib/python3.*/site-packages")
        self._added = set()

    def write(self, name, content):
        path = self.packages / name
        self._added.add(next(one for one in (path, *path.parents) if one.parent.exists()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
        return path

    def restore(self):
        for path in self._added:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def run(self, *words, program="aibridge", cwd=None, **environ):
        environ = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"} | environ
        command = [self._environment / "bin" / program, *words]
        return subprocess.run(
            command, cwd=cwd or self.home, env=environ, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def attacked(installed, home):
    attacked = Attacked(installed, home)
    yield attacked
    attacked.restore()
