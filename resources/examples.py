"""The state of the invented company."""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import Meta, Struct, structs

from resources.fields import Count, Time, doc, of_fields
from storage.examples.documents import Examples, ExampleState

_COUNTED = 0.9
"""The share of the work that recording the calls is; the rest is adding them up."""


class ExampleData(Struct, kw_only=True):
    """The invented company."""

    state: Annotated[
        ExampleState, doc("`none` if it does not exist; `filling` and `removing` while a server works on it.")
    ]
    calls: Annotated[Count, doc("The number of its calls that are recorded.")]
    progress: Annotated[float, Meta(ge=0, le=1, description="The progress of filling.")]
    requested_at: Time | None
    requested_by: Annotated[str | None, doc("The name of an owner; null is the command line.")]

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """Show it."""
        progress = 1.0 if examples.state is ExampleState.FILLED else round(examples.days / examples.total * _COUNTED, 3)
        return of_fields(cls, structs.asdict(examples), progress=progress)
