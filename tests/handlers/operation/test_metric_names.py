from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from handlers.operation.metric_names import MARGIN, OTHER, BoundedNames

NAMES = st.text("abcdefghij", min_size=1, max_size=1)


class Naive:
    """Which names are active, worked out by a look at all of them."""

    def __init__(self, limit, ever, halved_after):
        self.limit, self.max_ever, self.halved_after = limit, ever, halved_after
        self.active, self.ever, self.uses, self.counted = set(), set(), {}, 0

    def rank(self, name):
        return self.uses.get(name, 0), name

    def activate(self, name):
        if name not in self.ever and len(self.ever) >= self.max_ever:
            return False
        self.active.add(name)
        self.ever.add(name)
        return True

    def __call__(self, name):
        kept = name in self.active or (len(self.active) < self.limit and self.activate(name))
        return name if kept else OTHER

    def used(self, name):
        if name not in self.uses and len(self.uses) >= 2 * self.limit:
            self.uses[name] = self.uses.pop(min(self.uses.keys() - self.active, key=self.rank))
        self.uses[name] = self.uses.get(name, 0) + 1
        if name not in self.active and len(self.active) >= self.limit:
            least = min(self.active, key=self.rank)
            if self.uses[name] > MARGIN * self.uses.get(least, 0) and self.activate(name):
                self.active.remove(least)
        self.counted += 1
        if self.counted >= self.halved_after:
            self.counted = 0
            self.uses = {name: uses // 2 for name, uses in self.uses.items() if uses > 1}


@given(
    st.lists(NAMES | st.sampled_from(["use a", "use b", "use c"]), max_size=300), st.integers(1, 3), st.integers(3, 9)
)
def test_the_names_shown_are_those_that_a_look_at_all_of_them_finds(steps, limit, ever):
    names, naive = BoundedNames(limit, ever, 20), Naive(limit, ever, 20)
    for step in steps:
        name = step.removeprefix("use ")
        if name != step:
            assert names(name) == naive(name)
        else:
            names.used(name)
            naive.used(name)
        assert {one for one in "abcdefghij" if one in names._active.names} == naive.active
        assert names._uses == naive.uses


def bounded(limit=2, ever=100, halved_after=1000):
    return BoundedNames(limit, ever, halved_after)


@given(st.lists(NAMES | st.sampled_from(["use a", "use b"]), max_size=200), st.integers(1, 4), st.integers(4, 7))
def test_never_more_names_than_the_limit_at_a_time_nor_more_than_ever_altogether(steps, limit, ever):
    names, kept = bounded(limit, ever, 20), set()
    for step in steps:
        names.used(step.removeprefix("use "))
        now = {name for name in "abcdefghij" if names(name) != OTHER}
        assert len(now) <= limit
        kept |= now
    assert len(kept) <= ever


def test_names_that_came_first_give_way_to_one_that_is_used_more():
    names = bounded()
    assert [names("junk-1"), names("junk-2"), names("gpt")] == ["junk-1", "junk-2", OTHER]
    names.used("gpt")
    assert names("gpt") == "gpt"
    assert [names("junk-1"), names("junk-2")].count(OTHER) == 1


def test_a_busy_name_is_not_pushed_out_by_any_number_of_others():
    names = bounded()
    for _ in range(10):
        names("gpt")
        names.used("gpt")
    for number in range(10_000):
        names(f"junk-{number}")
        if number % 100 == 0:
            names.used("gpt")
    assert names("gpt") == "gpt"


def test_two_names_that_are_used_alike_do_not_take_turns():
    names, changes, before = bounded(1), 0, "a"
    for _ in range(100):
        for name in "ab":
            names.used(name)
            kept = next(one for one in "ab" if names(one) != OTHER)
            changes += kept != before
            before = kept
    assert changes == 0


def test_what_is_no_longer_used_gives_way_in_time():
    names = bounded(1, halved_after=50)
    for _ in range(1000):
        names.used("old")
    assert names("old") == "old"
    for _ in range(500):
        names.used("new")
    assert (names("new"), names("old")) == ("new", OTHER)


@given(st.lists(NAMES, max_size=300))
def test_memory_is_bounded_and_the_busiest_of_all_is_shown(uses):
    names = bounded(2)
    for name in uses:
        names.used(name)
        assert len(names._uses) <= 4
    ((busiest, count),) = Counter(uses).most_common(1) or [("a", 0)]
    if count > len(uses) * 0.8:
        assert names(busiest) == busiest
