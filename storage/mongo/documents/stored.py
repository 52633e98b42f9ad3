"""Structs that are kept as documents, and shown by the API as they are kept. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, structs

_NATIVE = (datetime, UUID, bytes)

T = TypeVar("T")
HIDDEN: Final = "hidden"
Hidden = Annotated[T, Meta(extra_json_schema={HIDDEN: True})]
"""A field that is kept and never shown."""

TIME_SCHEMA: Final = {"format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
StoredTime = Annotated[datetime, Meta(extra_json_schema=TIME_SCHEMA)]
"""A time, shown as `intercept.times.format_time` writes it."""


class Stored(Struct, frozen=True):
    """What a document has in fields of the same names, but for its `id`, which is `_id` there.

    The API shows all fields that are not `Hidden`. A subclass has what is shown beside what is kept.
    """

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a document. What else it has is left out."""
        return msgspec.convert({**document, "id": document["_id"]}, cls)

    @classmethod
    def extending(cls, stored: Stored, **further: Any) -> Self:
        """Add the fields of a subclass to what is kept."""
        return cls(**structs.asdict(stored), **further)

    @property
    def document(self) -> dict[str, Any]:
        """The document of a struct, where all of it is in fields of these names."""
        fields = msgspec.to_builtins(self, builtin_types=_NATIVE)
        return {"_id": fields.pop("id"), "schema_version": 1, **fields}


class Versioned(Stored, frozen=True):
    """What may be changed by whoever has read its last version."""

    @property
    def version(self) -> str:
        """A text of 16 characters, another one after each change of its fields."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]
