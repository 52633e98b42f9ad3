from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording import fresh_starts
from storage.recording.entry import Entry
from storage.recording.fresh_starts import FreshStarts
from storage.recording.operations import Action, Operation


def start(number):
    return Entry(Operation(Action.START, UUID(int=number), {}))


class Starts(FreshStarts):
    """Those that wait, and those whose time has come."""

    def __init__(self):
        self.come = []
        self.all_came = asyncio.Event()
        super().__init__(self._come)

    def _come(self, entry):
        self.come.append(entry)
        if not self:
            self.all_came.set()


@pytest.mark.gen_test
async def test_a_start_is_due_after_a_while_and_the_oldest_first(monkeypatch):
    monkeypatch.setattr(fresh_starts, "WAIT_SECONDS", 0.02)
    loop = asyncio.get_running_loop()
    starts, entries, began = Starts(), [start(1), start(2)], loop.time()
    for entry in entries:
        starts.add(entry)
    assert (len(starts), starts.come) == (2, [])
    await starts.all_came.wait()
    assert (len(starts), starts.come) == (0, entries)
    assert loop.time() - began >= 0.02


@pytest.mark.gen_test
async def test_one_that_comes_later_is_due_later(monkeypatch):
    monkeypatch.setattr(fresh_starts, "WAIT_SECONDS", 0.02)
    starts, entries = Starts(), [start(1), start(2)]
    starts.add(entries[0])
    await starts.all_came.wait()
    starts.all_came.clear()
    starts.add(entries[1])
    assert starts.come == entries[:1]
    await starts.all_came.wait()
    assert starts.come == entries


@pytest.mark.gen_test
async def test_one_that_is_taken_is_not_due_any_more():
    starts, entries = Starts(), [start(1), start(2), start(3)]
    for entry in entries:
        starts.add(entry)
    assert starts.pop(UUID(int=2)) is entries[1]
    assert starts.pop(UUID(int=2)) is None
    assert starts.take() == [entries[0], entries[2]]
    assert (len(starts), starts.take(), starts.come) == (0, [], [])
