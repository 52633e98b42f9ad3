"""The operations on the document of an interception. Every operation may be repeated, and late ones do no harm.

A start makes the document unless it is there. A checkpoint has all that is known so far, and changes the document only while it
is in flight. An end is the whole document: it takes the place of the one in flight, or makes it, so it needs nothing before it.
A presumed end, which was concluded from silence and not reported by the server that relayed the call, does the same. A document
that has ended stays as it is, but for one whose end is presumed: the true end wins, whichever is written first, and the first
true end stays.

The end of a call comes with its whole document, as it is written with an insert or a replacement. Whoever changes a call that
has ended sets `changed` to a new id, so that what is derived of it follows. Where that changes figures, or what they are
grouped by, `was` has these fields as they were before. `storage.derived.changes` reads that.

Fields that BSON cannot hold are cut, and say so: a record that lacks something is better than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

import bson
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne, UpdateOne

from intercept.records import Status
from storage.derived.rollup import TOKENS
from storage.recording.figures import COST_PARTS, FIGURES_OF_SOME

IN_FLIGHT: Mapping[str, Any] = {"status": Status.IN_FLIGHT.value}
"""Finds documents without any end."""

PRESUMED: Mapping[str, Any] = {"presumed": True}
"""What a document has beside the fields of an end that is presumed."""

MAX_TEXT_BYTES = 12 << 20
"""Most text of a record, in bytes of UTF-8. With all else it stays below MongoDB's 16 MiB."""

_RAW = CodecOptions[RawBSONDocument](
    document_class=RawBSONDocument, uuid_representation=UuidRepresentation.STANDARD, tz_aware=True
)
_HEAD_BYTES = 17
_WRITTEN = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)
_NOT_STORABLE = (UnicodeEncodeError, OverflowError)
_INT64 = range(-(2**63), 2**63)


class RecordAction(StrEnum):
    """The kind of an operation, see the top of the module. Its first letter is its code in a record."""

    START = "start"
    CHECKPOINT = "checkpoint"
    END = "end"
    PRESUMED_END = "presumed end"

    @property
    def ends(self) -> bool:
        """Whether it ends the call."""
        return self in {RecordAction.END, RecordAction.PRESUMED_END}


_ACTIONS = {action[0].encode(): action for action in RecordAction}


class RecordOperation:
    """One change of one document.

    Attributes:
        action: What it does.
        id: Whose document.
        record: All of it, encoded once for spool and database: a byte for the action, the id, and as BSON the document, or the
            fields that a checkpoint sets.
    """

    __slots__ = ("action", "id", "record")

    def __init__(self, action: RecordAction, id_: UUID, record: bytes) -> None:
        self.action, self.id, self.record = action, id_, record

    @classmethod
    def of(cls, action: RecordAction, id_: UUID, fields: Mapping[str, Any]) -> Self:
        """Make an operation that writes these fields, `_id` among them unless it is a checkpoint."""
        return cls(action, id_, action[0].encode() + id_.bytes + encoded(fields))

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
        return cls(action, UUID(bytes=record[1:_HEAD_BYTES]), record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordOperation) and self.record == other.record

    def __hash__(self) -> int:
        """Hash the beginning of the record, which is quick."""
        return hash(self.record[:_HEAD_BYTES])

    @property
    def insertion(self) -> InsertOne[Any]:
        """Has the driver make the document. It fails if that is there."""
        return InsertOne(self._fields)

    @property
    def replacement(self) -> ReplaceOne[Any]:
        """Has the driver put an end in the place of what is in flight, or of nothing. It fails if the call has ended."""
        return ReplaceOne({"_id": self.id, **IN_FLIGHT}, self._fields, upsert=True)

    @property
    def change(self) -> UpdateOne:
        """Has the driver set a checkpoint while the call is in flight."""
        return UpdateOne({"_id": self.id, **IN_FLIGHT}, {"$set": self._fields})

    def correction(self, before: Mapping[str, Any]) -> UpdateOne:
        """Has the driver put a true end in the place of a presumed one; `before` is the document with that."""
        gone = [*PRESUMED, *(name for name in FIGURES_OF_SOME if name not in self._fields)]
        fields = {**self._fields, **changed(before)}
        return UpdateOne({"_id": self.id, **PRESUMED}, {"$set": fields, "$unset": dict.fromkeys(gone, "")})

    @property
    def _fields(self) -> RawBSONDocument:
        return RawBSONDocument(self.record[_HEAD_BYTES:], _RAW)


COSTS: Final = ("cost", "priced", "unpriced", "no_usage", *TOKENS, *COST_PARTS)
"""The fields that change with the price of a call, and with its true end."""

CHANGING: Final = (
    *("presumed", "status", "end_reason", "upstream_status", "provider", "provider_name", "ended_at", "buckets"),
    *("error", "tool_usages", *COSTS),
)
"""These, and those that change with a true end alone."""


def changed(document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what is set beside the changes, with `$set` and for each field as a whole.

    Args:
        document: The call as it is before, where `CHANGING` fields change.
    """
    if document is None:
        return {"changed": ObjectId()}
    was = {name: document.get(name) for name in CHANGING}
    if error := was["error"]:
        was["error"] = {"type": error["type"]}
    was["tool_usages"] = [{"tool": usage["tool"]} for usage in was["tool_usages"] or ()]
    return {"changed": ObjectId(), "was": was}


def encoded(fields: Mapping[str, Any], max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Return fields as BSON with at most `max_bytes` bytes of text: the largest texts go first, and say so."""
    # As they are, nearly always, and in a tenth of the time of the rest.
    try:
        data = bson.encode(fields, codec_options=_WRITTEN)
    except _NOT_STORABLE:
        pass
    else:
        if len(data) <= max_bytes:
            return data
    return bson.encode(_truncated(fields, max_bytes), codec_options=_WRITTEN)


def _truncated(fields: Mapping[str, Any], max_bytes: int) -> dict[str, Any]:
    storable: dict[str, Any] = _storable(dict(fields))
    texts = sorted(_texts(storable, storable), key=lambda text: text[0], reverse=True)
    excess = sum(size for size, *_ in texts) - max_bytes
    for size, owner, key, marked in texts:
        if excess <= 0:
            break
        excess -= size
        marked["truncated"] = True
        if key == "usage":
            del owner[key]
        else:
            owner[key] = ""
    return storable


def _storable(value: Any) -> Any:
    """Replace what BSON has no place for: half a surrogate pair, an integer of more than 64 bits."""
    match value:
        case str():
            return value if value.isascii() else value.encode(errors="replace").decode()
        case bool() | None:
            return value
        case int():
            return min(max(value, _INT64.start), _INT64.stop - 1)
        case dict():
            return {key: _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value


def _texts(owner: dict[str, Any], marked: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], str, dict[str, Any]]]:
    """Find every text: its size in bytes, the object and key that hold it, and where to say that it was dropped."""
    for key, value in owner.items():
        if isinstance(value, str):
            yield len(value.encode()), owner, key, marked
        elif isinstance(value, dict):
            yield from _texts(value, value.get("metadata", marked))
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from _texts(item, item.get("metadata", marked))
