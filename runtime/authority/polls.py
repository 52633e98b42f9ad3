"""Questions of a worker that are no requests: how much is used, and what others say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from limits.limit import LimitState


class Poll(Struct, eq=False):
    """A question that waits for its answer.

    `most` is how many keys of each limit are told; 0 where reports are asked for, which are collected in `said`.
    """

    most: int
    future: asyncio.Future[Any]
    tick: int
    said: list[bytes] = []

    def answer(self, answer: Sequence[LimitState] | list[bytes]) -> None:
        """Answer whoever waits, if somebody still does."""
        if not self.future.done():
            self.future.set_result(answer)
