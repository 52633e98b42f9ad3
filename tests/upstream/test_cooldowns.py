"""Cooldowns of a bounded number of things, on a clock that only the test moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from upstream.cooldowns import Cooldowns

MAX_KEYS = 3


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_cooldown_lasts_as_long_as_was_said_and_can_be_ended_before():
    clock = Clock()
    cooldowns = Cooldowns(MAX_KEYS, clock)
    assert (bool(cooldowns), cooldowns.left("a"), cooldowns.running()) == (False, 0.0, [])
    cooldowns.begin("a", 5.0)
    cooldowns.begin("b", 7.0)
    clock.now += 4.0
    assert (cooldowns.left("a"), cooldowns.left("b"), cooldowns.running()) == (1.0, 3.0, ["a", "b"])
    clock.now += 1.0
    assert (cooldowns.left("a"), cooldowns.running()) == (0.0, ["b"])
    cooldowns.end("b")
    cooldowns.end("c")
    assert (cooldowns.left("b"), cooldowns.running()) == (0.0, [])


def test_one_that_is_begun_again_is_the_last_to_be_forgotten():
    cooldowns = Cooldowns(MAX_KEYS, Clock())
    for key in "abcad":
        cooldowns.begin(key, 9.0)
    assert cooldowns.running() == ["c", "a", "d"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 10), st.floats(0, 10))))
def test_those_begun_last_are_remembered_and_no_more_of_them_than_may_be(steps):
    clock = Clock()
    cooldowns, model = Cooldowns(MAX_KEYS, clock), {}
    for key, seconds, later in steps:
        cooldowns.begin(key, seconds)
        model.pop(key, None)
        model = dict(list(model.items())[1 - MAX_KEYS :]) | {key: clock.now + seconds}
        clock.now += later
        assert cooldowns.running() == [one for one, end in model.items() if end > clock.now]
        for one in "abcde":
            assert cooldowns.left(one) == max(0.0, model.get(one, 0.0) - clock.now)
