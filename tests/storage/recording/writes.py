"""Operations on interceptions that have numbers for ids."""

from uuid import UUID

from storage.recording.operations import PRESUMED, RecordAction, RecordOperation


def start(number, **fields):
    return _written(RecordAction.START, number, {"status": "in_flight", **fields})


def checkpoint(number, **fields):
    return RecordOperation.of(RecordAction.CHECKPOINT, UUID(int=number), fields)


def end(number, **fields):
    return _written(RecordAction.END, number, {"status": "completed", **fields})


def presumed_end(number, **fields):
    return _written(RecordAction.PRESUMED_END, number, {"status": "failed", **PRESUMED, **fields})


def _written(action, number, fields):
    return RecordOperation.of(action, UUID(int=number), {"_id": UUID(int=number), **fields})


def nested(levels):
    """A value that is too deep for MongoDB, from 200 levels on."""
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value
