"""Known vulnerabilities of what is pinned: of the Python packages, and of those of npm.

    .venv/bin/python .ci/audit.py

Ends with 1 when there are some. An index that has no advisories, or no network, is said and is no failure: whether
anything is known is then to be asked where there are some.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PIP_AUDIT = ("-m", "pip_audit", "--requirement", "requirements-dev.lock", "--require-hashes", "--disable-pip")
FORMAT = ("--format", "json", "--progress-spinner", "off")


class UnavailableError(Exception):
    """Nobody knows of vulnerabilities here. The text says why."""


def python_packages() -> list[str]:
    """Each vulnerability of a Python package.

    Raises:
        UnavailableError: none of them is known to the index, or it is not reached.
    """
    found = _run(sys.executable, *PIP_AUDIT, *FORMAT)["dependencies"]
    if all("skip_reason" in one for one in found):
        raise UnavailableError("the index has no advisories")
    return [f"{one['name']} {one['version']}: {each['id']}" for one in found for each in one.get("vulns", [])]


def npm_packages() -> list[str]:
    """Each vulnerability of a package of the dashboard.

    Raises:
        UnavailableError: the registry has no advisories, or it is not reached, or npm is not installed.
    """
    found = _run("npm", "audit", "--json", "--prefix", "dashboard")
    if "vulnerabilities" not in found:
        raise UnavailableError("the registry has no advisories")
    return [f"{name} {one['range']}: {one['severity']}" for name, one in found["vulnerabilities"].items()]


def _run(*command: str) -> dict[str, Any]:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except FileNotFoundError as error:
        raise UnavailableError(f"{command[0]} is not installed") from error
    except json.JSONDecodeError as error:
        reason = (done.stderr.strip() or "no reason was given").splitlines()[-1]
        raise UnavailableError(reason) from error
    return found


def main() -> int:
    """Print what is known."""
    vulnerabilities: list[str] = []
    for name, ask in (("Python packages", python_packages), ("npm packages", npm_packages)):
        try:
            found = ask()
        except UnavailableError as error:
            print(f"{name}: not audited, {error}")
        else:
            print(f"{name}: {len(found)} known vulnerabilities")
            vulnerabilities += found
    for vulnerability in vulnerabilities:
        print(vulnerability)
    return int(bool(vulnerabilities))


if __name__ == "__main__":
    sys.exit(main())
