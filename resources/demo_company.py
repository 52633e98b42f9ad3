"""The state of the demo company."""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import Meta, Struct, structs

from resources.fields import Count, doc, of_fields
from storage.demo.state import Demo, DemoState


class DemoCompany(Struct, kw_only=True):
    """The demo company."""

    state: Annotated[DemoState, doc("`none` if it does not exist, `filling` while a server or a command fills it in.")]
    calls: Annotated[Count, doc("The number of its calls that are recorded.")]
    progress: Annotated[float, Meta(ge=0, le=1, description="The progress of filling.")]

    @classmethod
    def of(cls, demo: Demo) -> Self:
        """Show it."""
        return of_fields(cls, structs.asdict(demo), progress=round(demo.progress, 3))
