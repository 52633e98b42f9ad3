"""`attest`: what an operator compares with what was released."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import click
import msgspec

from commands.output import show_json, show_table
from installation import ROOT, commit
from version import VERSION

LOCKS = "requirements*.txt"
NOT_OURS = "requirements-dev.txt"
"""Pins what tests need beside what a bridge runs with."""


class Package(msgspec.Struct):
    """An installed package: its version, the one that the lock has, and the hash of the list of its files."""

    name: str
    version: str
    pinned: str
    record_sha256: str


class Attestation(msgspec.Struct):
    """What runs here. `verified` says whether the files of the packages were held against their RECORD at the start."""

    version: str
    commit: str
    python: str
    verified: bool
    matches_lock: bool
    packages: list[Package]
    sbom: dict[str, Any] | None


@click.command("attest")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="json has the bill of materials (CycloneDX), too.",
)
def attest(output: str) -> None:
    """Say what is installed: version, commit, each package and whether it is the pinned one.

    It ends with 1 if a package is not the one that was pinned.
    """
    attestation = _attestation()
    if output == "json":
        show_json(attestation)
    else:
        click.echo(f"AI Bridge {attestation.version}, commit {attestation.commit or 'unknown'}")
        click.echo(f"Python {attestation.python}, packages {'verified' if attestation.verified else 'unverified'}\n")
        rows = [(one.name, one.version, one.pinned, one.record_sha256) for one in attestation.packages]
        show_table([("package", "version", "pinned", "SHA-256 of its RECORD"), *rows])
        click.echo(f"\n{'All are' if attestation.matches_lock else 'Not all are'} what the lock pins.")
    if not attestation.matches_lock:
        click.get_current_context().exit(1)


def _attestation() -> Attestation:
    pinned = {"aibridge": VERSION}
    for lock in ROOT.glob(LOCKS):
        if lock.name != NOT_OURS:
            pinned |= dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))
    found = {name: one for name in sorted(pinned) if (one := _installed(name))}
    packages = [
        Package(
            name=name,
            version=one.version,
            pinned=pinned[name],
            record_sha256=hashlib.sha256(_record(one)).hexdigest(),
        )
        for name, one in found.items()
    ]
    bill = found["aibridge"].read_text("sboms/aibridge.cdx.json") if "aibridge" in found else None
    return Attestation(
        version=VERSION,
        commit=commit(),
        python=platform.python_version(),
        verified=any(type(one).__module__ == "runtime.verification" for one in sys.meta_path),
        matches_lock=all(one.version == one.pinned for one in packages),
        packages=packages,
        sbom=msgspec.json.decode(bill) if bill else None,
    )


def _record(package: Distribution) -> bytes:
    """The bytes of a package's RECORD; none if its installer kept none."""
    found = [one for one in package.files or () if str(one).endswith(".dist-info/RECORD")]
    return Path(str(found[0].locate())).read_bytes() if found else b""


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
