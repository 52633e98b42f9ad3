"""Run a deployment of three servers on a replica set of three, make faults under load, and print the results.

    .venv/bin/python -m tests.faults.cluster [--minutes N] [--results FILE] [--picture]

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

from tests.faults.cluster.faults import REST_SECONDS
from tests.faults.cluster.network import LOOPBACK, enter
from tests.faults.cluster.stage import Report, Stage, summary
from tests.faults.cluster.timeline import Band, svg

PICTURE = Path(__file__).parents[3] / "docs/faults.svg"


def drawn(report: Report) -> str:
    """The first round of faults as a picture."""
    first = report.happened[: len({(one.what, one.whom == "primary") for one in report.happened})]
    seconds = min(report.seconds, first[-1].end + REST_SECONDS)
    bands = [Band(f"{one.whom} {one.what}", one.begin, one.end, one.whom == "primary") for one in first]
    return svg([(at, wait) for at, wait in report.waits if at <= seconds], bands, seconds)


@click.command()
@click.option("--minutes", type=float, default=0.0, help="For how long faults are made; at least one of each kind.")
@click.option("--results", type=click.Path(path_type=Path), help="A JSON file to write.")
@click.option("--picture", is_flag=True, help="Write docs/faults.svg.")
@click.option(LOOPBACK, "_loopback", is_flag=True, help="Use no network namespaces.")
def main(minutes: float, results: Path | None, picture: bool, _loopback: bool) -> None:
    """Make faults under load."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(Stage(Path(folder)).run(60 * minutes))
    if results is not None:
        results.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(report))) + b"\n")
    if picture:
        PICTURE.write_text(drawn(report))
    click.echo(summary(report))
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    enter(["-m", "tests.faults.cluster", *sys.argv[1:]])
    main()
