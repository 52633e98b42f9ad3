"""What the derived figures follow: calls that ended, and those that changed after that, see `storage.recording.changes`. Pure.

So what was added of a call before is known, in the order of the database's changes, and can be taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from intercept.records import Status
from storage.mongo.change_stream import Change, Followed
from storage.recording.changes import COSTS

_ENDS: Final = {"operationType": {"$in": ["insert", "replace"]}, "fullDocument.status": {"$ne": Status.IN_FLIGHT.value}}
_CHANGES: Final = {"operationType": "update", "updateDescription.updatedFields.changed": {"$exists": True}}
_READ: Final = ("fullDocument", "documentKey", "clusterTime", "updateDescription.removedFields")
_UPDATED: Final = [f"updateDescription.updatedFields.{name}" for name in (*COSTS, "was")]

ENDS: Final = Followed(
    ({"$match": {"$or": [_ENDS, _CHANGES]}}, {"$project": dict.fromkeys((*_READ, *_UPDATED), True)}), plain_ids=True
)
"""The changes of interceptions that are followed."""


class Ended(NamedTuple):
    """A call that has ended, `after` this; `before`, if not None, is what it was when it was added before."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


def ended_by(changes: Iterable[Change], current: Mapping[Any, Mapping[str, Any]]) -> list[Ended]:
    """Return what changes of `ENDS` add and take away, each call once. Calls that are gone are left out.

    Args:
        changes: In their order.
        current: Documents as they are now, at least of calls that were updated.
    """
    ended: dict[Any, Ended] = {}
    for change in changes:
        one = Ended(None, change.document) if change.document else None
        if change.updated is not None and (document := current.get(change.id)):
            one = _changed(change.updated, document)
        if one is not None:
            earlier = ended.get(change.id)
            ended[change.id] = Ended(earlier.before, one.after) if earlier else one
    return list(ended.values())


def _changed(updated: Mapping[str, Any], document: Mapping[str, Any]) -> Ended:
    was = updated.get("was")
    if was is None:  # texts were removed
        return Ended(document, document)
    costs = {name: updated.get(name, was[name]) for name in COSTS}
    return Ended({**document, **was}, {**document, **costs})  # all else has not changed since a true end
