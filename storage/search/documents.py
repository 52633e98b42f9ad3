"""How the search index is kept in MongoDB. Pure.

`search_segments` has a document for each segment, and the state of the job that makes them; `search_parts` the parts of
segments. Both say when the latest call of a segment started (`last`), from which retention counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from storage.mongo.codec import read_ms, write_ms
from storage.search.segments import Segment

JOB_STATE: Final = {"_id": "indexing"}
"""Finds the document, among the segments, that says what was indexed and is still marked."""

_PART_BITS: Final = 32


def part_id(segment: Segment, part: int) -> int:
    """Return the id of a part of a segment: those of one number stand side by side."""
    return (part << _PART_BITS) + segment.number


def read_part_id(id_: int) -> tuple[int, int]:
    """Return the number of the segment, and that of the part."""
    return id_ & ((1 << _PART_BITS) - 1), id_ >> _PART_BITS


def segment_document(segment: Segment) -> dict[str, Any]:
    """Make the document of a segment."""
    return {
        "_id": segment.number,
        "calls": segment.calls,
        "bits": segment.bits,
        "first": read_ms(segment.first),
        "last": read_ms(segment.last),
        "gone": list(segment.gone),
    }


def read_segment(document: Mapping[str, Any]) -> Segment:
    """Read the document of a segment."""
    return Segment(
        number=int(document["_id"]),
        calls=int(document["calls"]),
        bits=int(document["bits"]),
        first=write_ms(document["first"]),
        last=write_ms(document["last"]),
        gone=tuple(map(int, document["gone"])),
        is_full=document.get("is_full", False),
    )


def part_documents(segment: Segment, parts: Mapping[int, bytes]) -> Iterable[dict[str, Any]]:
    """Make the documents of the parts of a segment."""
    last = read_ms(segment.last)
    return [{"_id": part_id(segment, part), "last": last, "data": data} for part, data in parts.items()]
