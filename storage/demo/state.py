"""Whether the demo company is there. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from storage.mongo.codec import EPOCH


class DemoState(StrEnum):
    """Whether the demo company is there."""

    NONE = "none"
    FILLING = "filling"
    FILLED = "filled"


class Demo(Struct, frozen=True, kw_only=True):
    """The demo company.

    Attributes:
        fill: Tells one filling from another.
        at: When its last step was made.
        progress: The share of the work that is done, up to 1.
        calls: How many calls are recorded.
        is_cancelled: Whether it was removed while it is being filled in: who fills it in clears it.
    """

    state: DemoState = DemoState.NONE
    fill: str = ""
    at: datetime = EPOCH
    progress: float = 0.0
    calls: int = 0
    is_cancelled: bool = False
