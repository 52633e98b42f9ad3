"""What went wrong in a time range, grouped: calls that failed, and requests that the bridge refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final, TypeVar
from uuid import UUID

from intercept.errors.error_templates import MAX_READ, template_of
from intercept.records import EndReason, Status
from intercept.restricted_texts import HASH
from storage.mongo.database import Database
from storage.mongo.indexes import BY_COMBINATION, BY_INITIATOR, REFUSALS_BY_INITIATOR, REFUSALS_BY_TIME
from storage.queries.filters.error_groups import ErrorGroup, Kind
from storage.queries.filters.selection import Selection
from storage.queries.grouped.grouped import ignore_progress
from storage.queries.grouped.row_reader import OnProgress, Progress
from storage.queries.grouped.slices import Slice, slices_of_failed
from storage.queries.paging import visible
from storage.queries.side_by_side import side_by_side

T = TypeVar("T")

MAX_DISTINCT: Final = 20_000
"""Most different messages, and most different refusals, that are put into groups: those of most calls."""

SCANS: Final = 2
"""How many slices of failed calls a process reads at a time."""


class Errors:
    """The errors of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._scans = asyncio.Semaphore(SCANS)

    async def groups(
        self,
        calls: Mapping[str, Any],
        refusals: Mapping[str, Any] | None,
        *,
        visible_to: UUID | None,
        texts: bool,
        on_progress: OnProgress = ignore_progress,
        seconds: float | None = None,
    ) -> tuple[list[ErrorGroup], bool]:
        """Group what went wrong, the most frequent first; and say whether some different messages were left out.

        Args:
            calls: The filter of the failed calls, see `storage.queries.filters.search_language`; it bounds the time.
            refusals: The filter of the refusals, with `at`; None where none can be meant.
            visible_to: The user whose errors alone may be seen; None sees all.
            texts: Whether messages may be read; without them errors are grouped by their type.
            on_progress: Called with how far that is, where it is not all read at once; what it raises ends the reading.
            seconds: How long the database may take; None is the usual time.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or took longer.
        """
        groups: dict[Kind, ErrorGroup] = {}
        selection = Selection.of(calls, visible_to)
        async with self._database.query(seconds):
            refused, failed = await side_by_side(
                self._read_refused(refusals, visible_to, texts), self._read_all_failed(selection, texts, on_progress)
            )
        different: dict[tuple[Kind, str], ErrorGroup] = {}
        for one in failed:
            _add(different, (one.kind, one.message), one)
        found = sorted(different.values(), key=lambda one: -one.calls)
        for one in (*found[:MAX_DISTINCT], *refused[:MAX_DISTINCT]):
            _add(groups, one.kind, one)
        ordered = sorted(groups.values(), key=lambda group: (-group.calls, group.first_at, str(group.example_id)))
        return ordered, max(len(found), len(refused)) > MAX_DISTINCT

    async def _read_all_failed(
        self, selection: Selection | None, texts: bool, on_progress: OnProgress
    ) -> list[ErrorGroup]:
        """Read failed calls slice by slice, of which MongoDB reads some at a time."""
        if selection is None:
            return []
        slices = await slices_of_failed(self._database, selection.start, selection.end)
        total = sum(one.calls for one in slices)
        read = 0
        if len(slices) > 1:
            await on_progress(Progress(read, total))

        async def groups_of(one: Slice) -> list[ErrorGroup]:
            nonlocal read
            async with self._scans:
                found = await self._read_failed(selection.within(one.start, one.end), texts)
            read += one.calls
            if len(slices) > 1:
                await on_progress(Progress(read, total))
            return found

        return list(chain(*await side_by_side(*map(groups_of, slices))))

    async def _read_failed(self, selection: Selection, texts: bool) -> list[ErrorGroup]:
        message: Any = {"$substrCP": [{"$ifNull": ["$error.message", ""]}, 0, MAX_READ]} if texts else {"$literal": ""}
        fields = ("provider_name", "model", "upstream_status", "end_reason")
        pipeline: list[dict[str, Any]] = [
            {"$match": {"$and": [selection.filter, {"status": Status.FAILED.value}]}},
            {
                "$group": {
                    "_id": {**{name: f"${name}" for name in fields}, "type": "$error.type", "message": message},
                    **_SUMS,
                }
            },
            {"$sort": {"calls": -1}},
            {"$limit": MAX_DISTINCT + 1},
        ]
        index = BY_INITIATOR if "initiator_id" in selection.values else BY_COMBINATION
        cursor = self._database.interceptions.aggregate(pipeline, hint=dict(index))
        documents = await cursor.to_list(None)
        # In a thread: what messages have in common takes 0.1 ms for each, and thousands may differ by the id of their request.
        return await asyncio.to_thread(lambda: list(map(_group_of_call, documents)))

    async def _read_refused(
        self, refusals: Mapping[str, Any] | None, visible_to: UUID | None, texts: bool
    ) -> list[ErrorGroup]:
        if refusals is None:
            return []
        fields = ("provider", "model", "status", "rule")
        last = _last("$at", **({"message": "$message"} if texts else {}))
        sums = {**_SUMS, "calls": {"$sum": "$count"}, "first_at": {"$min": "$at"}, "last": last}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"$and": [refusals, visible(visible_to), {"shadow": {"$ne": True}}]}},
            {"$group": {"_id": {name: f"${name}" for name in fields}, **sums}},
            {"$sort": {"calls": -1}},
            {"$limit": MAX_DISTINCT + 1},
        ]
        index = REFUSALS_BY_TIME if visible_to is None else REFUSALS_BY_INITIATOR
        cursor = self._database.refusals.aggregate(pipeline, hint=dict(index))
        return [_group_of_refusal(document) for document in await cursor.to_list(None)]


def _add(groups: dict[T, ErrorGroup], key: T, one: ErrorGroup) -> None:
    if key in groups:
        groups[key].add(one)
    else:
        groups[key] = one


def _last(time: str, **more: str) -> dict[str, Any]:
    return {"$max": {"at": time, "id": "$_id", "user": "$initiator_id", **more}}


_SUMS: Final[Mapping[str, Any]] = {
    "calls": {"$sum": 1},
    "users": {"$addToSet": "$initiator_id"},
    "first_at": {"$min": "$started_at"},
    "last": _last("$started_at"),
}


def _group_of_call(document: Mapping[str, Any]) -> ErrorGroup:
    key = document["_id"]
    message = key["message"] if not key["message"].startswith(HASH) else ""
    status = key.get("upstream_status")
    kind = Kind(
        provider=key["provider_name"],
        model=key["model"],
        status=None if status is None else int(status),
        reason=key.get("end_reason") or EndReason.SERVER_CRASHED.value,
        type=key.get("type") or "",
        template=template_of(message),
    )
    return _group(kind, document, message)


def _group_of_refusal(document: Mapping[str, Any]) -> ErrorGroup:
    key = document["_id"]
    kind = Kind(key.get("provider"), key.get("model"), int(key["status"]), "refused", "", "", key["rule"])
    return _group(kind, document, (document["last"].get("message") or "")[:MAX_READ])


def _group(kind: Kind, document: Mapping[str, Any], message: str) -> ErrorGroup:
    last = document["last"]
    return ErrorGroup(
        kind=kind,
        calls=int(document["calls"]),
        users={user for user in document["users"] if user is not None},
        first_at=document["first_at"],
        last_at=last["at"],
        example_id=last["id"],
        example_user=last.get("user"),
        message=message,
    )
