"""What the write path does to an interception's document. Every operation may be repeated, and late ones do no harm.

A start makes the document unless it is there. An amendment changes it only while it is in flight. An end replaces
nothing but the state in flight and a presumed end: one that was concluded from silence, not reported by the server that
relayed the call. So the true end wins, whichever is written first, and the first true end stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne

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


class Action(StrEnum):
    """What an operation does, see the top of the module."""

    START = "start"
    AMEND = "amend"
    END = "end"


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one document. `record` is all of it as BSON, encoded once for journal and database."""

    action: Action
    id: UUID
    record: bytes

    @classmethod
    def encode(cls, action: Action, id_: UUID, fields: Mapping[str, Any]) -> Self:
        """Make an operation of the fields it writes, aside from `_id`.

        Raises:
            bson.errors.InvalidDocument, OverflowError: BSON cannot hold a field.
        """
        return cls(action, id_, bson.encode({"action": action, "_id": id_, "fields": fields}, codec_options=WRITTEN))

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Take an operation back from its BSON.

        Raises:
            bson.errors.InvalidBSON, KeyError, ValueError: It is not the record of an operation.
        """
        document = bson.decode(record, _RAW)
        return cls(Action(document["action"]), document["_id"], record)

    def update(self) -> UpdateOne:
        """Say it to the driver."""
        fields = RawBSONDocument(self.record, _RAW)["fields"]
        if self.action is Action.START:
            return UpdateOne({"_id": self.id}, {"$setOnInsert": fields}, upsert=True)
        if self.action is Action.AMEND:
            return UpdateOne({"_id": self.id, **IN_FLIGHT}, {"$set": fields})
        without_true_end = {"_id": self.id, "$or": [IN_FLIGHT, PRESUMED]}
        return UpdateOne(without_true_end, {"$set": fields, "$unset": dict.fromkeys(PRESUMED, "")})
