"""Runs checks and tells what became of each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from time import perf_counter

import click

from terminal import StatusLine
from verify.checks import Check
from verify.target import FailedError, SkippedError, Target
from verify.wire import BrokenOffError, UnreachableError

CHECK_SECONDS = 90.0
"""How long one check may take."""


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


async def run_check(sentence: str, check: Check, target: Target) -> Result:
    """Run one check. Whatever the other side does, there is a result."""
    began = perf_counter()
    outcome, detail = Outcome.PASSED, ""
    try:
        await asyncio.wait_for(check(target), CHECK_SECONDS)
    except SkippedError as reason:
        outcome, detail = Outcome.SKIPPED, str(reason)
    except (FailedError, BrokenOffError, UnreachableError) as error:
        outcome, detail = Outcome.FAILED, str(error)
    except TimeoutError:
        outcome, detail = Outcome.FAILED, "no answer in time"
    except Exception as error:  # noqa: BLE001 - the other side may send anything, and that is its failure
        outcome, detail = Outcome.FAILED, f"an answer that cannot be read: {type(error).__name__}: {error}"
    return Result(sentence, outcome, detail, round((perf_counter() - began) * 1000, 1))


async def run_checks(checks: Mapping[str, Check], target: Target, *, as_json: bool) -> list[Result]:
    """Run checks one after the other, and show each at once unless it is for a program."""
    results: list[Result] = []
    with StatusLine() as line:
        for sentence, check in checks.items():
            line.say(f"{len(results) + 1}/{len(checks)}  {sentence}")
            results.append(await run_check(sentence, check, target))
            line.say("")
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
