"""What the derived figures follow: calls that ended, and those that changed after that. Pure.

`storage.recording.operations` says how both are written.

So what was added of a call before is known, in the order of the database's changes, and can be taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from intercept.records import Status
from storage.mongo.change_stream import Change
from storage.recording.operations import COSTS

_ENDS: Final = {"operationType": {"$in": ["insert", "replace"]}, "fullDocument.status": {"$ne": Status.IN_FLIGHT.value}}
_CHANGES: Final = {"operationType": "update", "updateDescription.updatedFields.changed": {"$exists": True}}
_READ: Final = ("fullDocument", "documentKey", "clusterTime", "updateDescription.removedFields")
_UPDATED: Final = [f"updateDescription.updatedFields.{name}" for name in (*COSTS, "was")]

ENDS: Final = ({"$match": {"$or": [_ENDS, _CHANGES]}}, {"$project": dict.fromkeys((*_READ, *_UPDATED), True)})
"""Finds the changes of interceptions that are followed."""


class Ended(NamedTuple):
    """A call that has ended, `after` this; `before`, if not None, is what it was when it was added before."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


def of_different_calls(changes: Sequence[Change]) -> Sequence[Change]:
    """Return the first changes, until one of a call that has another one before it."""
    seen: set[Any] = set()
    for number, change in enumerate(changes):
        if change.id in seen:
            return changes[:number]
        seen.add(change.id)
    return changes


def ended_by(changes: Iterable[Change], current: Mapping[Any, Mapping[str, Any]]) -> list[Ended]:
    """Return what changes of different calls add and take away. Calls that are gone are left out.

    Args:
        changes: As `ENDS` reports them.
        current: Documents as they are now, at least of calls that were updated.
    """
    ended = []
    for change in changes:
        if change.document is not None:
            ended.append(Ended(None, change.document))
        elif change.updated is not None and (document := current.get(change.id)):
            ended.append(_changed(change.updated, document))
    return ended


def _changed(updated: Mapping[str, Any], document: Mapping[str, Any]) -> Ended:
    was = updated.get("was")
    if was is None:  # texts were removed
        return Ended(document, document)
    costs = {name: updated.get(name, was[name]) for name in COSTS}
    return Ended({**document, **was}, {**document, **costs})  # all else has not changed since a true end
