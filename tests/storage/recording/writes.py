"""Operations on interceptions that have numbers for ids."""

from __future__ import annotations

from uuid import UUID

from storage.recording.operations import Action, Operation


def start(number, **fields):
    return Operation(Action.START, UUID(int=number), {"status": "in_flight", **fields})


def amend(number, **fields):
    return Operation(Action.AMEND, UUID(int=number), fields)


def end(number, **fields):
    return Operation(Action.END, UUID(int=number), {"status": "completed", **fields})


def nested(levels):
    """A value that is too deep for MongoDB, from 200 levels on."""
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value
