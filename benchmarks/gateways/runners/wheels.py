"""Gateways from the Python index, each in a virtual environment of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.gateways.runners.runner import CACHE, UnavailableError


def installed(package: str, version: str) -> Path:
    """Install exactly this version, unless it is there; return the folder of its programs.

    Raises:
        UnavailableError: it cannot be installed here.
    """
    # One for each interpreter, so that a faster one serves the gateways that are written in Python, too.
    folder = CACHE / f"{package}-{version}-python{platform.python_version()}"
    if not (folder / "complete").exists():
        print(f"Installing {package} {version} into {folder} ...", flush=True)
        install = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([*install, f"{package}=={version}"], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"cannot be installed: {(error.stderr or str(error)).strip()[-300:]}") from error
        (folder / "complete").touch()
    return folder / "bin"
