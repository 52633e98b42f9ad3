from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording.operations import Action, Operation
from storage.recording.outbox import tail as tail_module
from storage.recording.outbox.pending_write import PendingWrite
from storage.recording.outbox.tail import Tail


def write(action, number, **options):
    return PendingWrite(Operation(action, UUID(int=number), {"status": action.value}), **options)


def start(number):
    return write(Action.START, number)


def amend(number):
    return write(Action.AMEND, number)


def end(number):
    return write(Action.END, number)


def held(*writes):
    tail = Tail()
    for one in writes:
        tail.add(one)
    return tail


def size(*writes):
    return sum(len(one.operation.record) for one in writes)


@pytest.mark.gen_test
async def test_operations_are_taken_in_the_order_in_which_they_came():
    writes = [end(1), amend(2), start(3)]
    tail = held(*writes)
    assert (len(tail), tail.size) == (3, size(*writes))
    assert tail.next_batch(only_makers=False) == writes
    assert (len(tail), tail.size, [one.tried for one in writes]) == (3, 0, [True] * 3)
    assert tail.finish_batch() == writes
    assert len(tail) == 0


@pytest.mark.gen_test
async def test_a_batch_that_is_put_back_comes_first_again():
    first, second = end(1), end(2)
    tail = held(first)
    tail.next_batch(only_makers=False)
    tail.add(second)
    tail.restore_batch()
    assert (tail.size, tail.next_batch(only_makers=False)) == (size(first, second), [first, second])


@pytest.mark.gen_test
async def test_what_makes_no_document_is_passed_over_and_keeps_its_order():
    ends, starts = [end(1), end(2)], [start(3), start(4)]
    tail = held(ends[0], starts[0], ends[1], starts[1])
    assert tail.next_batch(only_makers=True) == starts
    tail.finish_batch()
    assert tail.next_batch(only_makers=False) == ends


@pytest.mark.parametrize(("bound", "value"), [("BATCH_RECORDS", 2), ("BATCH_BYTES", 1 + size(end(1)))])
@pytest.mark.gen_test
async def test_a_batch_ends_at_a_bound(monkeypatch, bound, value):
    monkeypatch.setattr(tail_module, bound, value)
    writes = [end(number) for number in range(3)]
    tail = held(*writes)
    assert tail.next_batch(only_makers=False) == writes[:2]
    tail.finish_batch()
    assert tail.next_batch(only_makers=False) == writes[2:]


@pytest.mark.gen_test
async def test_a_start_is_put_together_with_its_end():
    first = start(1)
    operation = first.operation
    tail = Tail()
    tail.add_start(first)
    assert (tail.next_batch(only_makers=False), tail.size) == ([], size(first))
    last = end(1)
    tail.add(last)
    assert tail.next_batch(only_makers=False) == [first]
    assert first.operation == operation.ended_by(last.operation)
    assert (len(tail), tail.size) == (1, 0)


@pytest.mark.gen_test
async def test_clearing_leaves_what_is_being_written():
    written, due, waiting = end(1), end(2), start(3)
    tail = held(written)
    tail.next_batch(only_makers=False)
    tail.add(due)
    tail.add_start(waiting)
    assert tail.clear() == [due, waiting]
    assert (tail.batch, len(tail), tail.size) == ([written], 1, 0)


@pytest.mark.gen_test
async def test_in_a_hurry_no_start_waits():
    tail = Tail()
    waiting = start(1)
    tail.add_start(waiting)
    tail.hurry()
    await asyncio.wait_for(tail.gather(), 10)
    assert tail.next_batch(only_makers=False) == [waiting]


@pytest.mark.gen_test
async def test_there_is_twice_the_room_for_what_is_urgent(monkeypatch):
    monkeypatch.setattr(tail_module, "TAIL_BYTES", 100)
    monkeypatch.setattr(tail_module, "MEMORY_BYTES", 200)
    tail = Tail()
    tail.size = 50
    assert [tail.has_room(50), tail.has_room(51), tail.has_room(150, urgent=True), tail.has_room(151, urgent=True)] == [
        True,
        False,
        True,
        False,
    ]
