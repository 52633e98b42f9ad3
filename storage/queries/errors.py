"""What went wrong in a time range, grouped: calls that failed, and requests that the bridge refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from intercept.errors import MAX_READ, template_of
from intercept.records import EndReason
from intercept.restricted_texts import HASH
from storage.queries.found import ErrorGroup, ErrorKey
from storage.queries.questions.groups import Key
from storage.queries.questions.question import By, Counted, Dimension, Question
from storage.queries.questions.questions import Questions
from storage.queries.questions.reading import OnProgress, ignore_progress

MAX_DISTINCT: Final = 20_000
"""Most different messages, and most different refusals, that are put into groups: those of most calls."""

_OF_CALLS: Final = tuple(
    map(By, (Dimension.PROVIDER, Dimension.MODEL, Dimension.HTTP_STATUS, Dimension.END_REASON, Dimension.ERROR_TYPE))
)
_OF_REFUSALS: Final = tuple(map(By, (Dimension.PROVIDER, Dimension.MODEL, Dimension.HTTP_STATUS, Dimension.RULE)))


async def read_errors(
    questions: Questions,
    failed: Question,
    refused: Mapping[str, Any] | None,
    *,
    texts: bool,
    on_progress: OnProgress = ignore_progress,
    seconds: float | None = None,
) -> tuple[list[ErrorGroup], bool]:
    """Group what went wrong, the most frequent first; and say whether some different messages were left out.

    Args:
        questions: Of the database.
        failed: Which failed calls are meant.
        refused: What refusals of the same time match; None where none can be meant.
        texts: Whether messages may be read; without them errors are grouped by their type.
        on_progress: Called with how far that is; what it raises ends the reading.
        seconds: How long the database may take; None is the usual time.

    Raises:
        TooMuchError: It takes too long.
        DatabaseUnavailableError: The database is unavailable.
    """
    by = (*_OF_CALLS, By(Dimension.MESSAGE)) if texts else _OF_CALLS
    rows = await questions.scan(replace(failed, by=by), _sums("$started_at"), on_progress, seconds)
    # In a thread: what messages have in common takes 0.1 ms for each, and thousands may differ by the id of their request.
    found = await asyncio.to_thread(lambda: [_failed(*row) for row in rows])
    different = _merged(found, lambda one: (one.kind, one.message))
    refusals: list[ErrorGroup] = []
    if refused is not None:
        question = replace(failed, of=Counted.REFUSALS, conditions=refused, by=_OF_REFUSALS)
        sums = _sums("$at", **({"message": "$message"} if texts else {})) | {"calls": {"$sum": "$count"}}
        refusals = [_refused(*row) for row in await questions.scan(question, sums, ignore_progress, seconds)]
    each = [sorted(some, key=lambda one: -one.calls) for some in (different, refusals)]
    groups = _merged((one for some in each for one in some[:MAX_DISTINCT]), lambda one: one.kind)
    ordered = sorted(groups, key=lambda group: (-group.calls, group.first_at, str(group.example_id)))
    return ordered, max(map(len, each)) > MAX_DISTINCT


def _merged(some: Iterable[ErrorGroup], key: Callable[[ErrorGroup], Any]) -> list[ErrorGroup]:
    groups: dict[Any, ErrorGroup] = {}
    for one in some:
        if (known := groups.setdefault(key(one), one)) is not one:
            known.add(one)
    return list(groups.values())


def _sums(time: str, **more: str) -> dict[str, Any]:
    return {
        "calls": {"$sum": 1},
        "users": {"$addToSet": "$initiator_id"},
        "first_at": {"$min": time},
        "last": {"$max": {"at": time, "id": "$_id", "user": "$initiator_id", **more}},
    }


def _failed(key: Key, row: Mapping[str, Any]) -> ErrorGroup:
    provider, model, status, reason, type_, *texts = key
    message = "".join(text for text in texts if not text.startswith(HASH))
    code = None if status is None else int(status)
    crashed = EndReason.SERVER_CRASHED.value
    return _group(ErrorKey(provider, model, code, reason or crashed, type_ or "", template_of(message)), row, message)


def _refused(key: Key, row: Mapping[str, Any]) -> ErrorGroup:
    provider, model, status, rule = key
    kind = ErrorKey(provider, model, int(status), "refused", "", "", rule)
    return _group(kind, row, (row["last"].get("message") or "")[:MAX_READ])


def _group(kind: ErrorKey, row: Mapping[str, Any], message: str) -> ErrorGroup:
    last = row["last"]
    return ErrorGroup(
        kind=kind,
        calls=int(row["calls"]),
        users={user for user in row["users"] if user is not None},
        first_at=row["first_at"],
        last_at=last["at"],
        example_id=last["id"],
        example_user=last.get("user"),
        message=message,
    )
