"""Says what to do where the server cannot be imported: a Python that is too old, or packages that are not installed.

Imported before everything else, so it needs nothing but the standard library, also that of an old Python.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

OLDEST = (3, 11)
PACKAGES = (
    *("aiohappyeyeballs", "click", "cryptography", "genai_prices", "httptools", "joserfc", "markdown_it"),
    *("motor", "msgspec", "prometheus_client", "pymongo", "tornado", "websockets", "yaml", "zstandard"),
)
ROOT = Path(__file__).parent.parent


def problem(version: Sequence[int], missing: Sequence[str], root: Path = ROOT) -> str:
    """Return in a few lines what is wrong and what to do; empty if nothing is.

    Args:
        version: That of the running Python.
        missing: The packages that it does not have.
        root: The folder of AI Bridge.
    """
    if tuple(version) >= OLDEST and not missing:
        return ""
    own = root / ".venv" / "bin" / "python"
    wrong = (
        "AI Bridge needs Python {}.{} or newer; this is {}.{}.".format(*OLDEST, *version[:2])
        if tuple(version) < OLDEST
        else f"{sys.executable} does not have the packages of AI Bridge: {', '.join(missing)}."
    )
    if root.name == "_app":
        remedy = "Install AI Bridge again, with what it needs, in an environment of its own: pip install aibridge"
    elif own.exists():
        remedy = f"Use the one in .venv: {shlex.join([str(own), *sys.argv])}"
    else:
        remedy = "Run `make run`, which installs them into .venv, or: pip install -r requirements.txt"
    return f"{wrong}\n{remedy}"


_problem = problem(sys.version_info[:3], [name for name in PACKAGES if find_spec(name) is None])
if _problem:
    sys.exit(_problem)
