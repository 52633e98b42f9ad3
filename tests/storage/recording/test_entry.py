from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording.entry import Entry, RecordingUnavailableError
from storage.recording.operations import Action, Operation

OPERATION = Operation(Action.END, UUID(int=1), {})


def waiting(**kind):
    return Entry(OPERATION, asyncio.get_running_loop().create_future(), **kind)


def test_its_size_is_that_of_its_record():
    assert Entry(OPERATION).size == len(OPERATION.record)


@pytest.mark.gen_test
async def test_it_is_urgent_unless_someone_waits_or_it_is_optional():
    assert (waiting().urgent, Entry(OPERATION, optional=True).urgent, Entry(OPERATION).urgent) == (False, False, True)


@pytest.mark.gen_test
async def test_accepting_answers_who_waits():
    entry = waiting()
    assert entry.waited_for
    entry.accept()
    assert (entry.waited_for, entry.answer.result()) == (False, None)


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.gen_test
async def test_refusing_says_why_and_whether_it_may_have_been_written(tried):
    entry = waiting(tried=tried)
    entry.refuse("the spool is full")
    refusal = entry.answer.result()
    assert isinstance(refusal, RecordingUnavailableError)
    assert (str(refusal), refusal.maybe_written) == ("Recording is unavailable: the spool is full.", tried)


@pytest.mark.gen_test
async def test_the_first_answer_stays():
    entry = waiting()
    entry.accept()
    entry.refuse("late")
    assert entry.answer.result() is None


@pytest.mark.gen_test
async def test_who_left_is_not_answered_and_what_they_wanted_must_now_be_kept():
    entry = waiting()
    entry.answer.cancel()
    entry.accept()
    entry.refuse("late")
    assert (entry.answer.cancelled(), entry.waited_for, entry.urgent) == (True, False, True)


def test_nobody_waits_where_nobody_waits():
    entry = Entry(OPERATION)
    entry.accept()
    entry.refuse("late")
    assert not entry.waited_for
