"""Requests of a worker for information: how much of the limits is used, and the reports of others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from limits.limit import LimitState


class Poll(Struct, eq=False):
    """A request for usage or reports that waits for its reply.

    `most` is how many keys of each limit the reply has at most; 0 requests reports, which are collected in `said`.
    """

    most: int
    future: asyncio.Future[Any]
    tick: int
    said: list[bytes] = []

    def resolve(self, result: Sequence[LimitState] | list[bytes]) -> None:
        """Hand the result to the coroutine that waits, if it still does."""
        if not self.future.done():
            self.future.set_result(result)
