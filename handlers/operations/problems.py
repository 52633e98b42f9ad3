"""What operations say when they cannot be done: each kind of error of the layers below as a response, in one place."""

from __future__ import annotations

from handlers.problems import Problem, ValidationProblem, sentence
from limits.policies.reading import InvalidPolicyError
from resources.bodies import InvalidBodyError
from storage.accounts.identities import IdentityConflictError, IdentityError, UnknownIdentityError
from storage.accounts.users import ChangedMeanwhileError
from storage.accounts.views.views import NotYourViewError

INVALID_BODY = "The request body has invalid values."
NO_OBJECT = "It must be a JSON object."
NOT_YOUR_VIEW = "Only the user who saved a view and owners may change it."


def problem_of(error: BaseException | None) -> Problem | None:
    """What is said of an error; None if it is unexpected."""
    match error:
        case InvalidBodyError():
            return ValidationProblem(INVALID_BODY, "" if error.problems else NO_OBJECT, error.problems)
        case UnknownIdentityError():
            return Problem(404, sentence(str(error)))
        case ChangedMeanwhileError():
            return Problem(412, sentence(str(error)))
        case IdentityConflictError():
            return Problem(409, sentence(str(error)))
        case IdentityError():
            return ValidationProblem(INVALID_BODY, sentence(str(error)))
        case InvalidPolicyError():
            detail, validations = (error.rule, []) if not error.field else ("", [(error.field, error.rule)])
            return ValidationProblem(INVALID_BODY, detail, validations)
        case NotYourViewError():
            return Problem(403, NOT_YOUR_VIEW)
    return None
