from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording.operations import Action, Operation
from storage.recording.outbox.pending_write import PendingWrite, RecordingUnavailableError

OPERATION = Operation(Action.END, UUID(int=1), {})


def waiting(**kind):
    return PendingWrite(OPERATION, asyncio.get_running_loop().create_future(), **kind)


def test_its_size_is_that_of_its_record():
    assert PendingWrite(OPERATION).size == len(OPERATION.record)


@pytest.mark.gen_test
async def test_it_is_urgent_unless_someone_waits_or_it_is_optional():
    assert (waiting().urgent, PendingWrite(OPERATION, optional=True).urgent, PendingWrite(OPERATION).urgent) == (
        False,
        False,
        True,
    )


@pytest.mark.gen_test
async def test_accepting_answers_who_waits():
    write = waiting()
    assert write.waited_for
    write.accept()
    assert (write.waited_for, write.result.result()) == (False, None)


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.gen_test
async def test_refusing_says_why_and_whether_it_may_have_been_written(tried):
    write = waiting(tried=tried)
    write.refuse("the spool is full")
    refusal = write.result.result()
    assert isinstance(refusal, RecordingUnavailableError)
    assert (str(refusal), refusal.maybe_written) == ("Recording is unavailable: the spool is full.", tried)


@pytest.mark.gen_test
async def test_the_first_answer_stays():
    write = waiting()
    write.accept()
    write.refuse("late")
    assert write.result.result() is None


@pytest.mark.gen_test
async def test_who_left_is_not_answered_and_what_they_wanted_must_now_be_kept():
    write = waiting()
    write.result.cancel()
    write.accept()
    write.refuse("late")
    assert (write.result.cancelled(), write.waited_for, write.urgent) == (True, False, True)


def test_nobody_waits_where_nobody_waits():
    write = PendingWrite(OPERATION)
    write.accept()
    write.refuse("late")
    assert not write.waited_for
