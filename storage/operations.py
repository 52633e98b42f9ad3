"""What the write path does to an interception's document. Every operation may be repeated, and late ones do no harm.

A start makes the document unless it is there. An amendment changes it only while it is in flight. An end replaces
nothing but the state in flight and a presumed end: one that was concluded from silence, not reported by the server that
relayed the call. So the true end wins, whichever is written first, and the first true end stays. A start and an end that
are written together make the whole document, and are no more than an end where it is there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self
from uuid import UUID

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne

from intercept.records import Status
from storage.fitting import END_BYTES, START_BYTES, encoded

IN_FLIGHT: Mapping[str, Any] = {"status": Status.IN_FLIGHT.value}
"""Finds documents without any end."""

PRESUMED: Mapping[str, Any] = {"presumed": True}
"""What an amendment sets beside the fields of an end that is presumed."""

_RAW = CodecOptions[RawBSONDocument](
    document_class=RawBSONDocument, uuid_representation=UuidRepresentation.STANDARD, tz_aware=True
)
_HEAD_BYTES = 17


class Action(StrEnum):
    """What an operation does, see the top of the module."""

    START = "start"
    AMEND = "amend"
    END = "end"
    WHOLE = "whole"


_CODES = {Action.START: b"s", Action.AMEND: b"a", Action.END: b"e", Action.WHOLE: b"w"}
_MOST = {
    Action.START: START_BYTES,
    Action.AMEND: END_BYTES,
    Action.END: END_BYTES,
    Action.WHOLE: START_BYTES + END_BYTES,
}
_ACTIONS = {code: action for action, code in _CODES.items()}


@dataclass(frozen=True, eq=False)
class Operation:
    """One change of one document: the fields it writes, aside from `_id`."""

    action: Action
    id: UUID
    fields: Mapping[str, Any]

    @cached_property
    def record(self) -> bytes:
        """All of it: a byte for the action, the id, and the fields as BSON."""
        return _CODES[self.action] + self.id.bytes + self._written

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Take an operation back from its record.

        Raises:
            bson.errors.InvalidBSON, ValueError: It is not the record of an operation.
        """
        action, id_ = _ACTIONS.get(record[:1]), record[1:_HEAD_BYTES]
        if action is None:
            raise ValueError(f"{record[:1]!r} stands for no action")
        fields = RawBSONDocument(record[_HEAD_BYTES:], _RAW)
        len(fields)  # looks at all of them
        return cls(action, UUID(bytes=id_), fields)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same record."""
        return isinstance(other, Operation) and self.record == other.record

    def __hash__(self) -> int:
        """Of what is quickly told."""
        return hash((self.action, self.id))

    @property
    def makes(self) -> bool:
        """Whether it makes the document."""
        return self.action in {Action.START, Action.WHOLE}

    def ended_by(self, end: Operation) -> Operation:
        """Put this start and its end together."""
        return Operation(Action.WHOLE, self.id, {**self.fields, **end.fields})

    def write(self) -> InsertOne[Any] | UpdateOne:
        """Say it to the driver. What makes a document fails where there is one: that is for `write_again`."""
        return InsertOne(RawBSONDocument(self._written, _RAW)) if self.makes else self.write_again()

    def write_again(self) -> UpdateOne:
        """Say it to the driver once the document is there. A start has nothing to do then."""
        written = RawBSONDocument(self._written, _RAW)
        if self.action is Action.AMEND:
            return UpdateOne({"_id": self.id, **IN_FLIGHT}, {"$set": written})
        without_true_end = {"_id": self.id, "$or": [IN_FLIGHT, PRESUMED]}
        return UpdateOne(without_true_end, {"$set": written, "$unset": dict.fromkeys(PRESUMED, "")})

    @cached_property
    def _written(self) -> bytes:
        """The fields, and `_id` before them where they are a document. Encoded once for log, journal and database."""
        fields = {"_id": self.id, **self.fields} if self.makes else self.fields
        return encoded(fields, _MOST[self.action])
