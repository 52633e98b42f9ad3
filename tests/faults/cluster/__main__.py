"""Run a deployment of three servers on a replica set of three, make faults under load, and print the results.

    .venv/bin/python -m tests.faults.cluster [--minutes N] [--results FILE]

Ends with 1 when something is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from tests.faults.cluster.network import LOOPBACK, enter
from tests.faults.cluster.stage import Stage, summary


@click.command()
@click.option("--minutes", type=float, default=0.0, help="For how long faults are made; at least one of each kind.")
@click.option("--results", type=click.Path(path_type=Path), help="A JSON file to write.")
@click.option(LOOPBACK, "_loopback", is_flag=True, help="Use no network namespaces.")
def main(minutes: float, results: Path | None, _loopback: bool) -> None:
    """Make faults under load."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(Stage(Path(folder)).run(60 * minutes))
    if results is not None:
        results.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(report))) + b"\n")
    click.echo(summary(report))
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    enter(["-m", "tests.faults.cluster", *sys.argv[1:]])
    main()
