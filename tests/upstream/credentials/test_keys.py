from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.credentials.keys import (
    MAX_COOLDOWNS,
    Cooldowns,
    KeyChange,
    KeyPool,
    KeyRefusal,
    merge_refusals,
    retry_after_seconds,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now

    def wall(self):
        return EPOCH + timedelta(seconds=self.now)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pool(clock):
    return KeyPool(("a", "b", "c"), clock, clock.wall)


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [(429, None, 60), (429, 0.0, 0), (429, 5.0, 5), (429, 1e9, 3600), (429, -3.0, 0), (401, None, 60), (401, 5.0, 60)],
)
def test_a_key_cools_down_for_as_long_as_the_provider_says(pool, clock, status, retry_after, seconds):
    assert pool.cool_down("a", "m", status, retry_after) == seconds
    assert pool.pick("m") == ("b" if seconds else "a")
    clock.now += seconds
    assert pool.pick("m") == "a"


def test_a_429_cools_a_key_down_for_one_model_and_a_401_for_all(pool):
    pool.cool_down("a", "m", 429, 7.0)
    assert (pool.pick("m"), pool.pick("n")) == ("b", "a")
    pool.cool_down("b", "m", 401, None)
    assert (pool.pick("m"), pool.pick("n"), pool.find_other("n", ["a"], 429)) == ("c", "a", "c")
    assert [pool.count_cooldowns(key) for key in "abc"] == [1, 1, 0]


def test_with_every_key_cooling_down_the_one_that_comes_back_first_is_used(pool):
    for key, wait in (("a", 9.0), ("b", 3.0), ("c", 5.0)):
        pool.cool_down(key, "m", 429, wait)
    assert (pool.pick("m"), pool.find_other("m", [], 429)) == ("b", None)


def test_after_a_401_a_key_that_waits_for_its_limit_is_tried_and_none_that_is_wrong(pool):
    pool.cool_down("b", "m", 429, 9.0)
    pool.cool_down("c", "m", 429, 5.0)
    assert (pool.find_other("m", ["a"], 401), pool.find_other("m", ["a"], 429)) == ("c", None)
    assert (pool.find_other("m", ["a", "c"], 401), pool.find_other("m", ["a", "b", "c"], 401)) == ("b", None)
    pool.cool_down("c", "m", 401, None)
    assert (pool.find_other("m", ["a"], 401), pool.find_other("m", ["a", "b"], 401)) == ("b", None)


def test_a_key_is_refused_from_its_first_401_until_a_call_succeeds(pool, clock):
    assert pool.note("a", "m", 401) is KeyChange.REFUSED
    since = clock.wall()
    clock.now += 5
    assert pool.note("a", "n", 401) is None
    for status in (400, 403, 404, 429, 500, 529):
        assert pool.note("a", "m", status) is None
    assert pool.refusals == {"a": KeyRefusal(401, since, 2)}
    assert pool.note("a", "m", 200) is KeyChange.ACCEPTED_AGAIN
    assert pool.note("a", "m", 200) is None
    assert pool.refusals == {}


def test_a_success_ends_the_cooldown_of_the_key_for_that_model(pool):
    pool.cool_down("a", "m", 429, 60.0)
    pool.cool_down("a", "n", 429, 60.0)
    pool.cool_down("a", "m", 401, None)
    pool.note("a", "m", 200)
    assert (pool.pick("m"), pool.pick("n")) == ("a", "b")


def test_models_that_clients_make_up_do_not_fill_the_memory(pool):
    for number in range(MAX_COOLDOWNS + 10):
        pool.cool_down("a", str(number), 429, 60.0)
    assert pool.count_cooldowns("a") == MAX_COOLDOWNS
    assert (pool.pick("0"), pool.pick(str(MAX_COOLDOWNS + 9))) == ("a", "b")


def test_a_cooldown_that_is_begun_again_is_the_last_to_be_forgotten(clock):
    cooldowns = Cooldowns(3, clock)
    for key in "abcad":
        cooldowns.begin(key, 9.0)
    assert cooldowns.running() == ["c", "a", "d"]


@given(st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from([200, 401, 429]), st.integers(0, 100)), max_size=30))
def test_there_is_always_a_key_and_no_key_is_tried_twice(responses):
    clock = Clock()
    pool = KeyPool(("a", "b", "c"), clock, clock.wall)
    for model, status, seconds in responses:
        tried = []
        key = pool.pick(model)
        while key is not None:
            assert key not in tried
            tried.append(key)
            pool.note(key, model, status)
            other = pool.find_other(model, tried, status) if status in {401, 429} else None
            if other is not None:
                pool.cool_down(key, model, status, float(seconds))
            key = other
        clock.now += seconds // 10


@for_each(
    ("milliseconds", "seconds", "result"),
    ("", "", None),
    ("", "7", 7.0),
    ("1500", "7", 1.5),
    ("x", "7", 7.0),
    ("", "soon", None),
    ("", "-1", None),
    ("", "Thu, 01 Jan 1970 00:01:40 GMT", 60.0),
    ("", "Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
    ("", "9" * 500, 999_999_999_999.0),
)
def test_what_the_provider_says_is_read(milliseconds, seconds, result):
    assert retry_after_seconds(milliseconds, seconds, now=40.0) == result


refusals = st.builds(
    KeyRefusal,
    status=st.just(401),
    since=st.integers(0, 10**9).map(lambda seconds: EPOCH + timedelta(seconds=seconds)),
    calls=st.integers(1, 10**9),
)


@given(st.lists(refusals, min_size=1, max_size=8), st.randoms())
def test_refusals_of_one_key_are_merged_alike_in_any_order_and_any_grouping(said, random):
    merged = merge_refusals(said)
    assert merged == KeyRefusal(401, min(one.since for one in said), sum(one.calls for one in said))
    random.shuffle(said)
    cut = random.randint(0, len(said))
    parts = [part for part in (merge_refusals(said[:cut]), merge_refusals(said[cut:])) if part is not None]
    assert merge_refusals(parts) == merge_refusals(said) == merged
