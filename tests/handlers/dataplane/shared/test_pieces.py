"""Long work in pieces."""

from __future__ import annotations

import asyncio

import pytest

from handlers.dataplane.shared.pieces import PIECE_SECONDS, Pieces


class Clock:
    """Moves by more than half a piece with each step of a work: a piece has two."""

    now = 0.0

    def __call__(self):
        return self.now


def work(clock, name, steps, done):
    for _ in range(steps):
        clock.now += PIECE_SECONDS * 0.6
        done.append(name)
        yield
    return name * 2


@pytest.mark.gen_test
async def test_works_take_turns_piece_by_piece_and_each_returns_its_result():
    clock, done = Clock(), []
    pieces = Pieces(clock)
    works = [pieces.finish(work(clock, name, 4, done), "user") for name in "ab"]
    assert await asyncio.gather(*works) == ["aa", "bb"]
    assert "".join(done) == "aabbaabb"


@pytest.mark.gen_test
async def test_users_take_turns_whatever_the_number_of_their_works():
    clock, done = Clock(), []
    pieces = Pieces(clock)
    works = [pieces.finish(work(clock, name, 6, done), name.isupper()) for name in "abcdE"]
    await asyncio.gather(*works)
    assert "".join(done) == "aaEEbbEEccEEddaabbccddaabbccdd"


@pytest.mark.gen_test
async def test_a_work_that_fails_says_so_and_lets_the_next_one_begin():
    clock, done = Clock(), []
    pieces = Pieces(clock)

    def failing():
        yield
        raise ValueError("of no use")

    failed, finished = await asyncio.gather(
        pieces.finish(failing(), 1), pieces.finish(work(clock, "b", 1, done), 1), return_exceptions=True
    )
    assert (repr(failed), finished) == ("ValueError('of no use')", "bb")
