"""Fuzz the parsers of hostile bytes, guided by coverage.

    .venv/bin/python -m tests.fuzz [TARGET ...] [--minutes 1] [--seed N]
    .venv/bin/python -m tests.fuzz TARGET --input FILE

A target is a module of `tests/fuzz/targets`, or any other by its full name. Each runs in a process of its own, two at a
time. A finding is printed, kept as a file, and checked again by `--input`. The same seed tries the same inputs in the
same order.
"""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.fuzz.targets import load, names

ROOT = Path(__file__).parents[2]
FINDINGS = ROOT / ".fuzz"
PROCESSES = 2
# A pure function that takes this long for a few kilobytes hangs.
HANG_SECONDS = 20
MEMORY_MB = 1024
NO_WHEEL = "Not fuzzed: Atheris is not installed; it exists for Linux on x86-64 (pyproject.toml)."


@click.command(help=__doc__)
@click.argument("targets", nargs=-1)
@click.option("--minutes", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--runs", type=click.IntRange(1), help="At most so many inputs of each.")
@click.option("--seed", type=click.IntRange(1, 2**31 - 1), help="Default: a new one, which is printed.")
@click.option("--input", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Check one input.")
@click.option(
    "--findings", default=FINDINGS, type=click.Path(file_okay=False, path_type=Path), help="Where to keep them."
)
def main(  # noqa: PLR0917 - click gives each option by its name
    targets: tuple[str, ...],
    minutes: float,
    runs: int | None,
    seed: int | None,
    path: Path | None,
    findings: Path,
) -> None:
    if path is not None:
        for target in targets:
            load(target).check(path.read_bytes())
            click.echo(f"{target}: nothing found in {path}")
        return
    try:
        import atheris  # noqa: F401
    except ImportError:
        click.echo(NO_WHEEL, err=True)
        return
    seed = seed or random.SystemRandom().randrange(1, 2**31)
    findings.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(PROCESSES) as pool:
        clean = list(pool.map(lambda target: fuzz(target, minutes, runs or -1, seed, findings), targets or names()))
    sys.exit(0 if all(clean) else 1)


def fuzz(target: str, minutes: float, runs: int, seed: int, findings: Path) -> bool:
    """Fuzz one target and report; return whether nothing was found."""
    with TemporaryDirectory() as corpus:
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.fuzz.worker",
                target,
                corpus,
                f"-seed={seed}",
                f"-runs={runs}",
                f"-max_total_time={max(1, round(minutes * 60))}",
                f"-timeout={HANG_SECONDS}",
                f"-rss_limit_mb={MEMORY_MB}",
                f"-artifact_prefix={findings / target}-",
                "-print_final_stats=1",
            ],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
    output = (run.stdout + run.stderr).decode("utf-8", "replace")
    executed = next((line.split()[-1] for line in output.splitlines() if "number_of_executed_units" in line), "?")
    if run.returncode:
        click.echo(output)
    click.echo(f"{target}: {executed} inputs, seed {seed}, {'FOUND SOMETHING' if run.returncode else 'nothing found'}")
    return not run.returncode


if __name__ == "__main__":
    main()
