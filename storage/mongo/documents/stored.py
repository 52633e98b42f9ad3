"""Structs that are kept as documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import msgspec
from msgspec import Struct

_NATIVE = (datetime, UUID, bytes)


class Stored(Struct, frozen=True):
    """What a document has in fields of the same names, but for its `id`, which is `_id` there."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a document. What else it has is left out."""
        return msgspec.convert({**document, "id": document["_id"]}, cls)

    @property
    def document(self) -> dict[str, Any]:
        """The same as the database has it, where all of it is in fields of these names."""
        fields = msgspec.to_builtins(self, builtin_types=_NATIVE)
        return {"_id": fields.pop("id"), "schema_version": 1, **fields}
