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
    """Something that can ask the server."""

    def get(self, caller: str, path: str, parameters: Parameters) -> tuple[float, bytes]:
        """Ask once; the milliseconds it took and the answer."""


@dataclass(frozen=True)
class Shape:
    """One kind of request: who asks for what, and the milliseconds that 99 of 100 may take at most.

    One that is `told` may take longer, and says how long: then these are of the first line.
    """

    name: str
    path: str
    parameters: Callable[[Random], Parameters]
    caller: str = "owner"
    target_ms: int = PAGE_MS
    told: bool = False
    cursor: Parameters | None = None

    def named(self, name: str) -> Shape:
        """The same with another name."""
        return replace(self, name=name)

    def prepared(self, api: Requester) -> Shape:
        """Put in what the server alone knows: the id behind which a deep page begins, or one to look at."""
        if self.cursor is None:
            return self
        *_, parameter = self.cursor.pop("as", ("after_id",))
        _, body = api.get(self.caller, self.path, self.cursor)
        found = json.loads(body)["results"][0]["id"]
        if parameter == "path":
            return replace(self, path=f"{self.path}/{found}", cursor=None)
        asked = self.parameters
        return replace(self, parameters=lambda random: asked(random) | {parameter: found}, cursor=None)
