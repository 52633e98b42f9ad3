"""The operations on the document of an interception. Every operation may be repeated, and late ones do no harm.

A start makes the document unless it is there. An amendment changes it only while it is in flight. An end replaces
nothing but the state in flight and a presumed end: one that was concluded from silence, not reported by the server that
relayed the call. So the true end wins, whichever is written first, and the first true end stays. A start and an end that
are written together make the whole document, and are no more than an end where it is there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne

from intercept.records import Status
from storage.mongo.codec import binary
from storage.recording.truncation import END_BYTES, START_BYTES, encoded

IN_FLIGHT: Mapping[str, Any] = {"status": Status.IN_FLIGHT.value}
"""Finds documents without any end."""

PRESUMED: Mapping[str, Any] = {"presumed": True}
"""What an amendment sets beside the fields of an end that is presumed."""

_RAW = CodecOptions[RawBSONDocument](
    document_class=RawBSONDocument, uuid_representation=UuidRepresentation.STANDARD, tz_aware=True
)
_HEAD_BYTES = 17


class Action(StrEnum):
    """The kind of an operation, see the top of the module.

    Attributes:
        code: Its code in a record.
        max_bytes: The maximum bytes of text in such an operation.
        makes: Whether it creates the document.
    """

    code: bytes
    max_bytes: int
    makes: bool

    START = "start", b"s", START_BYTES, True
    AMEND = "amend", b"a", END_BYTES, False
    END = "end", b"e", END_BYTES, False
    WHOLE = "whole", b"w", START_BYTES + END_BYTES, True

    def __new__(cls, name: str, code: bytes, max_bytes: int, makes: bool) -> Self:
        """Make one of the above."""
        action = str.__new__(cls, name)
        action._value_ = name
        action.code, action.max_bytes, action.makes = code, max_bytes, makes
        return action


_ACTIONS = {action.code: action for action in Action}


class Operation:
    """One change of one document.

    Args:
        action: What it does.
        id_: Whose document.
        fields: What it writes, aside from `_id`.
        record: The same as it is written, where that is known.

    Attributes:
        record: All of it, encoded once for spool and database: a byte for the action, the id, and the fields as
            BSON, with `_id` before them where they are a document.
    """

    __slots__ = ("_fields", "action", "id", "record")

    def __init__(self, action: Action, id_: UUID, fields: Mapping[str, Any], record: bytes = b"") -> None:
        if action.makes and "_id" not in fields:
            fields = {"_id": binary(id_), **fields}
        self.action, self.id, self._fields = action, id_, fields
        self.record = record or action.code + id_.bytes + encoded(fields, action.max_bytes)

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Take an operation back from its record.

        Raises:
            bson.errors.InvalidBSON, ValueError: It is not the record of an operation.
        """
        action = _ACTIONS.get(record[:1])
        if action is None:
            raise ValueError(f"{record[:1]!r} stands for no action")
        try:
            fields = RawBSONDocument(record[_HEAD_BYTES:], _RAW)
            len(fields)  # looks at all of them
        except IndexError as error:  # the driver's own, of a length below zero
            raise InvalidBSON(str(error)) from error
        return cls(action, UUID(bytes=record[1:_HEAD_BYTES]), fields, record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and self.record == other.record

    def __hash__(self) -> int:
        """Of the beginning of the record, which is quick."""
        return hash(self.record[:_HEAD_BYTES])

    @property
    def makes(self) -> bool:
        """Whether it makes the document."""
        return self.action.makes

    @property
    def instance_id(self) -> UUID | None:
        """The server that relays the call, of a start that was decoded; else None."""
        return self._fields.get("instance_id") if self.action is Action.START else None

    def ended_by(self, end: Operation) -> Operation:
        """Put this start and its end together."""
        return Operation(Action.WHOLE, self.id, {**self._fields, **end._fields})

    def write(self) -> InsertOne[Any] | UpdateOne:
        """The operation for the driver. If it creates a document that exists, it fails; then `write_again` is used."""
        return InsertOne(self._written) if self.makes else self.write_again()

    def write_again(self) -> UpdateOne:
        """The operation for the driver if the document exists. A start does nothing then."""
        if self.action is Action.AMEND:
            return UpdateOne({"_id": self.id, **IN_FLIGHT}, {"$set": self._written})
        without_true_end = {"_id": self.id, "$or": [IN_FLIGHT, PRESUMED]}
        return UpdateOne(without_true_end, {"$set": self._written, "$unset": dict.fromkeys(PRESUMED, "")})

    @property
    def _written(self) -> RawBSONDocument:
        return RawBSONDocument(self.record[_HEAD_BYTES:], _RAW)
