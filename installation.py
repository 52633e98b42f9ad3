"""Whether this AI Bridge runs from its folder or is installed from the wheel, and what follows from that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from version import VERSION

ROOT = Path(__file__).parent
IS_INSTALLED = ROOT.name == "_app"
"""Whether it is installed from the wheel, which has this folder as `aibridge/_app`."""
COMMAND = "aibridge" if IS_INSTALLED else "python server.py"
"""How it is called, in messages."""


def version_and_commit() -> str:
    """The version, and the commit if it is known."""
    return f"{VERSION} ({one})" if (one := commit()) else VERSION


def commit() -> str:
    """The commit that this was built from, or that of the clone; empty if neither is known."""
    try:
        return (ROOT / "COMMIT").read_text().split()[0]
    except OSError:
        return _commit_of_clone()


def _commit_of_clone() -> str:
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):  # no git, or the folder of another account
        return ""


def how_to_install(extra: str) -> str:
    """The command that installs what an extra needs."""
    if IS_INSTALLED:
        return f'pip install "aibridge[{extra}]=={VERSION}"'
    separate = ROOT / f"requirements-{extra}.txt"
    return f"pip install -r {separate.name if separate.exists() else 'requirements.txt'}"


def default_data_dir() -> str:
    """Where data is kept unless the operator says where.

    From a clone it is its folder `data`. An installed bridge keeps it in the platform's folder for data of the account, or
    in `aibridge-data` below the current folder if the account has no home that it may write to.
    """
    if not IS_INSTALLED:
        return "data"
    if os.environ.get("XDG_DATA_HOME") or os.access(Path("~").expanduser(), os.W_OK):
        return str(user_folder("XDG_DATA_HOME", ".local/share"))
    return "aibridge-data"


def user_folder(variable: str, below_home: str) -> Path:
    """The platform's folder of an account for what AI Bridge keeps there.

    Args:
        variable: Names the folder for all programs, as the XDG Base Directory Specification says.
        below_home: The folder for all programs where the variable is not set; macOS has one of its own.
    """
    if sys.platform == "darwin":
        below_home = "Library/Application Support"
    return Path(os.environ.get(variable) or Path("~").expanduser() / below_home) / "aibridge"
