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
from struct import Struct
from typing import Any, Self
from uuid import UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne

from intercept.records import Status

IN_FLIGHT: Mapping[str, Any] = {"status": Status.IN_FLIGHT.value}
"""Finds documents without any end."""

PRESUMED: Mapping[str, Any] = {"presumed": True}
"""What an amendment sets beside the fields of an end that is presumed."""

WRITTEN = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)
"""How records are encoded."""

_RAW = CodecOptions[RawBSONDocument](
    document_class=RawBSONDocument, uuid_representation=UuidRepresentation.STANDARD, tz_aware=True
)
_LENGTH = Struct("<i")


class Action(StrEnum):
    """What an operation does, see the top of the module."""

    START = "start"
    AMEND = "amend"
    END = "end"
    WHOLE = "whole"


@dataclass(frozen=True, eq=False)
class Operation:
    """One change of one document: the fields it writes, aside from `_id`."""

    action: Action
    id: UUID
    fields: Mapping[str, Any]

    @cached_property
    def record(self) -> bytes:
        """All of it as BSON, encoded once for journal and database.

        Raises:
            bson.errors.InvalidDocument, OverflowError: BSON cannot hold a field.
        """
        return bson.encode({"action": self.action, "_id": self.id, "fields": self.fields}, codec_options=WRITTEN)

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Take an operation back from its BSON.

        Raises:
            bson.errors.InvalidBSON, KeyError, ValueError: It is not the record of an operation.
        """
        document = bson.decode(record, _RAW)
        return cls(Action(document["action"]), document["_id"], document["fields"])

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
        return InsertOne(_document(self.id, bytes(self._written.raw))) if self.makes else self.write_again()

    def write_again(self) -> UpdateOne:
        """Say it to the driver once the document is there. A start has nothing to do then."""
        if self.action is Action.AMEND:
            return UpdateOne({"_id": self.id, **IN_FLIGHT}, {"$set": self._written})
        without_true_end = {"_id": self.id, "$or": [IN_FLIGHT, PRESUMED]}
        return UpdateOne(without_true_end, {"$set": self._written, "$unset": dict.fromkeys(PRESUMED, "")})

    @property
    def _written(self) -> RawBSONDocument:
        fields: RawBSONDocument = RawBSONDocument(self.record, _RAW)["fields"]
        return fields


def _document(id_: UUID, fields: bytes) -> RawBSONDocument:
    """Return a document of an id and the BSON of everything else."""
    id_element = bson.encode({"_id": id_}, codec_options=WRITTEN)[4:-1]
    return RawBSONDocument(_LENGTH.pack(len(id_element) + len(fields)) + id_element + fields[4:], _RAW)
