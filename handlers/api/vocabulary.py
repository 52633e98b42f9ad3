"""What the API's words mean."""

from __future__ import annotations

from handlers.operations.operation import Ask, operation
from resources.vocabulary import Vocabulary


@operation("GET", "vocabulary", tag="names")
async def read_vocabulary(ask: Ask) -> Vocabulary:  # noqa: ARG001 - the same for everybody
    """Read what words mean, and which there are: rules, ends of calls, roles, types, keys, sentences of the audit trail."""
    return Vocabulary.of_today()
