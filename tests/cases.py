"""Many cases in one test: a test costs some milliseconds itself, and most cases cost less."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

Test = Callable[..., Any]


class _Tried:
    """A case. What it fails with is kept, with its name, to be raised with the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failure: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, failure: BaseException | None, _traceback: object) -> bool:
        if isinstance(failure, (Exception, BaseExceptionGroup, pytest.fail.Exception)):
            failure.add_note(f"case: {self.name[:200]}")
            self.failure = failure
        return self.failure is not None


def for_each(
    names: str | tuple[str, ...], *cases: Any, ids: Iterable[str] | Callable[[Any], str] = repr
) -> Callable[[Test], Test]:
    """Do what `pytest.mark.parametrize` does, in one test. Each case is tried, and each that fails is named.

    Cases may also be given as one list of all. All have the same fixtures: what a case leaves in them, the next one finds.
    """
    names = (names,) if isinstance(names, str) else names
    cases = tuple(cases[0]) if len(cases) == 1 and isinstance(cases[0], list) else cases
    named = list(zip(map(ids, cases) if callable(ids) else ids, cases, strict=True))
    assert named, "there are no cases"

    def of(test: Test) -> Test:
        signature = inspect.signature(test)
        rest = [parameter for name, parameter in signature.parameters.items() if name not in names]
        signature = signature.replace(parameters=rest)

        def cases_of(args: tuple[Any, ...], fixtures: dict[str, Any]) -> Iterator[tuple[_Tried, dict[str, Any]]]:
            others = signature.bind(*args, **fixtures).arguments
            tried = [_Tried(name) for name, _ in named]
            for one, (_, case) in zip(tried, named, strict=True):
                yield one, dict(zip(names, case if len(names) > 1 else [case], strict=True)) | others
            if failed := [one for one in tried if one.failure]:
                message = f"{len(failed)} of {len(named)} cases: {', '.join(one.name[:50] for one in failed)}"
                raise BaseExceptionGroup(message, [one.failure for one in failed if one.failure])

        @functools.wraps(test)
        def run(*args: Any, **fixtures: Any) -> None:
            for tried, values in cases_of(args, fixtures):
                with tried:
                    test(**values)

        @functools.wraps(test)
        async def run_async(*args: Any, **fixtures: Any) -> None:
            for tried, values in cases_of(args, fixtures):
                with tried:
                    await test(**values)

        each = run_async if inspect.iscoroutinefunction(test) else run
        each.__signature__ = signature
        return each

    return of
