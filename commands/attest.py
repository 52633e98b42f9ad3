"""`attest`: what an operator compares with what was released."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import click

from commands.output import show_json, show_rows
from installation import ROOT, commit
from version import VERSION

LOCKS = "requirements*.txt"
NOT_OURS = "requirements-dev.txt"
"""Pins what tests need beside what a bridge runs with."""


@click.command("attest")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="json has the bill of materials (CycloneDX), too.",
)
@click.pass_context
def attest(context: click.Context, /, output: str) -> None:
    """Say what is installed: version, commit, each package and whether it is the pinned one.

    It ends with 1 if a package is not the one that was pinned.
    """
    pinned = {"aibridge": VERSION}
    for lock in ROOT.glob(LOCKS):
        if lock.name != NOT_OURS:
            pinned |= dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))
    found = {name: one for name in sorted(pinned) if (one := _installed(name))}
    packages = [
        {"name": name, "version": one.version, "pinned": pinned[name], "record_sha256": _record_sha256(one)}
        for name, one in found.items()
    ]
    bill = found["aibridge"].read_text("sboms/aibridge.cdx.json") if "aibridge" in found else None
    # Whether the files of the packages were held against their RECORD at the start.
    verified = any(type(one).__module__ == "runtime.verification" for one in sys.meta_path)
    matches_lock = all(one.version == pinned[name] for name, one in found.items())
    said = {"version": VERSION, "commit": commit(), "python": platform.python_version(), "verified": verified}
    if output == "json":
        sbom = json.loads(bill) if bill else None
        show_json({**said, "matches_lock": matches_lock, "packages": packages, "sbom": sbom})
    else:
        click.echo(f"AI Bridge {VERSION}, commit {said['commit'] or 'unknown'}")
        click.echo(f"Python {said['python']}, packages {'verified' if verified else 'unverified'}\n")
        show_rows(packages, ("name", "version", "pinned", "record_sha256"), output)
        click.echo(f"\n{'All are' if matches_lock else 'Not all are'} what the lock pins.")
    if not matches_lock:
        context.exit(1)


def _record_sha256(package: Distribution) -> str:
    """The digest of a package's RECORD; of nothing if its installer kept none."""
    found = [one for one in package.files or () if str(one).endswith(".dist-info/RECORD")]
    return hashlib.sha256(Path(str(found[0].locate())).read_bytes() if found else b"").hexdigest()


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
