"""Many cases in one test: a test costs some milliseconds itself, and most cases cost less."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Test = Callable[..., None]


def for_each(
    names: str | tuple[str, ...], cases: Iterable[Any], ids: Iterable[str] | Callable[[Any], str] = repr
) -> Callable[[Test], Test]:
    """Do what `pytest.mark.parametrize` does, in one test. Each case is tried, and each that fails is named."""
    names, cases = (names,) if isinstance(names, str) else names, list(cases)
    named = list(zip(map(ids, cases) if callable(ids) else ids, cases, strict=True))
    assert named, "there are no cases"

    def of(test: Test) -> Test:
        signature = inspect.signature(test)
        rest = [parameter for name, parameter in signature.parameters.items() if name not in names]
        signature = signature.replace(parameters=rest)

        @functools.wraps(test)
        def run(*args: Any, **fixtures: Any) -> None:
            others = signature.bind(*args, **fixtures).arguments
            failures: list[BaseException] = []
            failed = []
            for name, case in named:
                values = zip(names, case if len(names) > 1 else [case], strict=True)
                try:
                    test(**dict(values), **others)
                except (Exception, BaseExceptionGroup, pytest.fail.Exception) as failure:  # noqa: BLE001 - it is raised with the others
                    failure.add_note(f"case: {name[:200]}")
                    failures.append(failure)
                    failed.append(name[:50])
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(named)} cases: {', '.join(failed)}", failures)

        run.__signature__ = signature  # type: ignore[attr-defined]
        return run

    return of
