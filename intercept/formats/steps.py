"""Work in steps of a few milliseconds each: a generator that yields between them, and returns the outcome."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar, cast

T = TypeVar("T")


def finish(steps: Generator[None, None, T]) -> T:
    """Do all steps, one after the other."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return cast("T", ended.value)
