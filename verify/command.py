"""The command line of `verify`: runs checks and tells what became of each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from time import perf_counter

import click

from verify.checks import CHECKS, Check
from verify.target import (
    BridgeAddress,
    BrokenOffError,
    FailedError,
    SkippedError,
    Target,
    UnreachableError,
    find_target,
)

TOKEN_VARIABLE = "AIBRIDGE_TOKEN"  # noqa: S105 - its name
NO_TOKEN = f"set {TOKEN_VARIABLE} to a token of the bridge, or give --token-file"


class CannotAskError(click.ClickException):
    """The bridge cannot be asked. The text says why."""

    exit_code = 2


@click.command("verify")
@click.argument("url", default="http://127.0.0.1:4001")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file that holds the token.")
@click.option("--provider", help="Provider to call; default: the demo provider, else the first one.")
@click.option(
    "--model", help="Model to call there. Calls cost money, so without a model only the demo provider is called."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="table, or json for programs."
)
def verify(url: str, token_file: Path | None, provider: str | None, model: str | None, output: str) -> None:
    """Check that the bridge at URL keeps what it promises.

    The token is read from the variable AIBRIDGE_TOKEN or from a file. Exit code 0: nothing failed, 1: something did, 2: the
    bridge could not be asked.
    """
    as_json = output == "json"
    try:
        address, token = BridgeAddress.parse(url), _token(token_file)
        results = run_checks(CHECKS, find_target(address, token, provider, model), as_json=as_json)
    except (UnreachableError, BrokenOffError, FailedError, ValueError, OSError) as error:
        raise CannotAskError(str(error)) from error
    click.echo(summary(results, as_json=as_json))
    if any(result.outcome is Outcome.FAILED for result in results):
        raise SystemExit(1)


def _token(file: Path | None) -> str:
    token = file.read_text().strip() if file else os.environ.get(TOKEN_VARIABLE, "")
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError(NO_TOKEN)
    return token


class Outcome(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


_COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.SKIPPED: "yellow"}


@dataclass(frozen=True)
class Result:
    """A check by its sentence, what became of it, why if it did not pass, and how long it took."""

    check: str
    outcome: Outcome
    detail: str
    milliseconds: float


def run_check(sentence: str, check: Check, target: Target) -> Result:
    """Run one check. Whatever the other side does, there is a result."""
    began = perf_counter()
    outcome, detail = Outcome.PASSED, ""
    try:
        check(target)
    except SkippedError as reason:
        outcome, detail = Outcome.SKIPPED, str(reason)
    except (FailedError, BrokenOffError, UnreachableError) as error:
        outcome, detail = Outcome.FAILED, str(error)
    except Exception as error:  # noqa: BLE001 - the other side may send anything, and that is its failure
        outcome, detail = Outcome.FAILED, f"an answer that cannot be read: {type(error).__name__}: {error}"
    return Result(sentence, outcome, detail, round((perf_counter() - began) * 1000, 1))


def run_checks(checks: Mapping[str, Check], target: Target, *, as_json: bool) -> list[Result]:
    """Run checks one after the other, and show each at once unless it is for a program."""
    results: list[Result] = []
    for sentence, check in checks.items():
        results.append(run_check(sentence, check, target))
        if not as_json:
            click.echo(_line(results[-1]))
    return results


def summary(results: Sequence[Result], *, as_json: bool) -> str:
    """All results for a program, or their number for people."""
    if as_json:
        return json.dumps([asdict(result) for result in results], indent=2)
    numbers = (f"{sum(result.outcome is outcome for result in results)} {outcome}" for outcome in Outcome)
    return "\n" + ", ".join(numbers)


def _line(result: Result) -> str:
    mark = click.style(f"{result.outcome:<8}", fg=_COLOURS[result.outcome])
    # What the other side sent must not reach a terminal as control characters.
    detail = result.detail.encode("ascii", "backslashreplace").decode()
    printable = "".join(character if character.isprintable() else repr(character)[1:-1] for character in detail)
    return f"{mark} {result.milliseconds:8.1f} ms  {result.check}" + (f"\n{'':22}{printable}" if printable else "")
