"""What operations say when they cannot be done: each kind of error of the layers below as a response, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from handlers.operations.query import INVALID
from handlers.problems import Problem, ValidationProblem, sentence
from limits.policies.reading import InvalidPolicyError
from resources.bodies import InvalidBodyError
from storage.accounts.users import ChangedMeanwhileError, IdentityConflictError, IdentityError, UnknownIdentityError
from storage.accounts.views import NotYourViewError
from storage.providers.documents import InvalidProviderError
from storage.queries.filters.words import InvalidSearchError
from storage.queries.questions.groups import MAX_POINTS, TooManyPointsError, TooMuchError, UnsupportedOrderError

READ_PER_SECOND: Final = 20_000
"""About how many records the database adds up in a second."""

INVALID_BODY = "The request body has invalid values."
NO_OBJECT = "It must be a JSON object."
TOO_MANY_POINTS = f"asks for more than {MAX_POINTS:,} buckets; choose fewer groups or longer buckets"
INVALID_SEARCH = "Invalid interception search query."
NOT_YOUR_VIEW = "Only the user who saved a view and owners may change it."


def too_much(error: TooMuchError) -> str:
    """Say that it would take longer than it may, and about how long."""
    calls = error.calls
    about = (
        f"about {calls:,} calls are read one by one for it, which may take {-(-calls // READ_PER_SECOND)} s or longer"
    )
    of_it = f": {about}" if calls else ""
    return (
        f"takes longer than the {error.seconds:.0f} s that it may take{of_it}. Choose a shorter range, or group and search "
        "by user, provider, model and client alone, in whole hours"
    )


def _of_query(name: str, detail: str) -> Problem:
    return ValidationProblem(INVALID, validations=[(name, detail)])


# The first kind that an error is of says what is sent.
_PROBLEMS: Mapping[type[BaseException], Callable[[Any], Problem]] = {
    InvalidBodyError: lambda error: ValidationProblem(
        INVALID_BODY, "" if error.problems else NO_OBJECT, error.problems
    ),
    InvalidSearchError: lambda error: ValidationProblem(INVALID_SEARCH, validations=error.validations),
    InvalidPolicyError: lambda error: ValidationProblem(INVALID_BODY, validations=[(error.field, error.rule)]),
    UnknownIdentityError: lambda error: Problem(404, sentence(str(error))),
    ChangedMeanwhileError: lambda error: Problem(412, sentence(str(error))),
    IdentityConflictError: lambda error: Problem(409, sentence(str(error))),
    IdentityError: lambda error: ValidationProblem(INVALID_BODY, sentence(str(error))),
    NotYourViewError: lambda _: Problem(403, NOT_YOUR_VIEW),
    InvalidProviderError: lambda error: ValidationProblem(INVALID_BODY, validations=error.problems),
    TooMuchError: lambda error: _of_query("from", too_much(error)),
    UnsupportedOrderError: lambda error: _of_query("order_by", str(error)),
    TooManyPointsError: lambda _: _of_query("limit", TOO_MANY_POINTS),
}


def problem_of(error: BaseException | None) -> Problem | None:
    """What is said of an error; None if it is unexpected."""
    return next((make(error) for kind, make in _PROBLEMS.items() if isinstance(error, kind)), None)
