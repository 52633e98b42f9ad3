"""One kind of request that is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

PAGE_MS, SUM_MS, WORDS_MS = 50, 100, 300

Parameters = dict[str, Any]


class Requester(Protocol):
    """Something that sends requests to the server."""

    def get(self, caller: str, path: str, parameters: Parameters) -> tuple[float, bytes]:
        """Send one request; return its milliseconds and the response."""


@dataclass(frozen=True)
class Shape:
    """One kind of request: its caller, its address, and the milliseconds that 99 of 100 may take at most.

    With `has_progress` a request may take longer. The milliseconds are then those of its first line.
    """

    name: str
    path: str
    parameters: Callable[[Random], Parameters]
    caller: str = "owner"
    target_ms: int = PAGE_MS
    has_progress: bool = False
    cursor: Parameters | None = None

    def named(self, name: str) -> Shape:
        """The same with another name."""
        return replace(self, name=name)

    def prepared(self, api: Requester) -> Shape:
        """Fill in ids that only the server knows: that of a deep page, or of a record to read."""
        if self.cursor is None:
            return self
        *_, parameter = self.cursor.pop("as", ("after_id",))
        _, body = api.get(self.caller, self.path, self.cursor)
        found = json.loads(body)["results"][0]["id"]
        if parameter == "path":
            return replace(self, path=f"{self.path}/{found}", cursor=None)
        parameters = self.parameters
        return replace(self, parameters=lambda random: parameters(random) | {parameter: found}, cursor=None)
