import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits import sliding_window
from limits.sliding_window import Decision, SlidingWindow
from tests.limits.clock import SECOND, Clock

keys = st.sampled_from(["a", "b", "c"])
# Steps around the window's length and up to many windows, zero included: requests may arrive in the same nanosecond.
steps = st.one_of(st.integers(0, 12), st.integers(0, 10**12))


@pytest.fixture
def clock():
    return Clock()


def test_a_request_within_the_limit_is_admitted_and_says_what_remains(clock):
    window = SlidingWindow(3, 10 * SECOND, clock)
    assert window.admit("a") == Decision(admitted=True, limit=3, remaining=2, retry_after_ns=0, reset_ns=10 * SECOND)


def test_a_request_above_the_limit_is_told_when_the_oldest_admission_leaves_the_window(clock):
    window = SlidingWindow(2, 10 * SECOND, clock)
    window.admit("a")
    clock.advance(4 * SECOND)
    window.admit("a")
    clock.advance(SECOND)
    assert window.admit("a") == Decision(
        admitted=False, limit=2, remaining=0, retry_after_ns=5 * SECOND, reset_ns=9 * SECOND
    )


def test_the_last_request_within_the_limit_says_when_the_next_would_be_admitted(clock):
    window = SlidingWindow(1, 10 * SECOND, clock)
    assert window.admit("a") == Decision(
        admitted=True, limit=1, remaining=0, retry_after_ns=10 * SECOND, reset_ns=10 * SECOND
    )


def test_an_admission_occupies_its_window_to_the_last_nanosecond(clock):
    window = SlidingWindow(1, 10 * SECOND, clock)
    window.admit("a")
    clock.advance(10 * SECOND - 1)
    assert not window.admit("a").admitted
    clock.advance(1)
    assert window.admit("a").admitted


def test_around_the_edge_of_a_window_no_second_limit_is_granted(clock):
    window = SlidingWindow(2, 10 * SECOND, clock)
    clock.advance(9 * SECOND)
    assert [window.admit("a").admitted for _ in range(2)] == [True, True]
    clock.advance(2 * SECOND)
    assert [window.admit("a").admitted for _ in range(2)] == [False, False]


def test_keys_never_limit_one_another(clock):
    window = SlidingWindow(1, SECOND, clock)
    assert [window.admit(key).admitted for key in "abba"] == [True, True, False, False]


def test_a_refused_request_consumes_nothing(clock):
    window = SlidingWindow(1, 10 * SECOND, clock)
    window.admit("a")
    for _ in range(9):
        clock.advance(SECOND)
        window.admit("a")
    clock.advance(SECOND)
    assert window.admit("a").admitted


def test_checking_says_what_admitting_would_and_counts_nothing(clock):
    window = SlidingWindow(1, 10 * SECOND, clock)
    assert window.check("a") == Decision(admitted=True, limit=1, remaining=1, retry_after_ns=0, reset_ns=0)
    assert len(window) == 0
    window.admit("a")
    assert window.check("a") == window.admit("a")


def test_idle_keys_are_forgotten_and_busy_ones_are_kept(clock):
    window = SlidingWindow(2, 10 * SECOND, clock)
    window.admit("busy")
    for name in range(100):
        window.admit(f"idle {name}")
    clock.advance(9 * SECOND)
    window.admit("busy")
    assert len(window) == 101
    clock.advance(SECOND)
    assert window.check("busy").remaining == 1
    assert len(window) == 1


def test_the_busiest_keys_are_told_in_order_and_those_that_are_idle_are_not(clock):
    window = SlidingWindow(3, 10 * SECOND, clock)
    window.admit("idle")
    clock.advance(10 * SECOND)
    for key in "abbbcc":
        window.admit(key)
    assert [(key, decision.remaining) for key, decision in window.busiest(2).items()] == [("b", 0), ("c", 1)]
    assert window.busiest(9)["b"] == window.check("b")
    assert "idle" not in window.busiest(9)


def test_the_busiest_are_looked_for_among_those_admitted_last(clock, monkeypatch):
    monkeypatch.setattr(sliding_window, "KEYS_LOOKED_AT", 2)
    window = SlidingWindow(3, 10 * SECOND, clock)
    for key in "aaabc":
        window.admit(key)
    assert list(window.busiest(9)) == ["c", "b"]


@pytest.mark.parametrize(("limit", "window_ns"), [(0, 1), (1, 0), (-1, 1)])
def test_a_limit_or_window_below_one_is_refused(clock, limit, window_ns):
    with pytest.raises(ValueError, match=f"a limit and a window of at least 1 are needed, not {limit} and {window_ns}"):
        SlidingWindow(limit, window_ns, clock)


@given(limit=st.integers(1, 4), window_ns=st.integers(1, 10), arrivals=st.lists(st.tuples(steps, keys), max_size=60))
def test_no_window_ever_admits_more_than_the_limit_nor_refuses_what_fits(limit, window_ns, arrivals):
    clock = Clock()
    window = SlidingWindow(limit, window_ns, clock)
    admissions: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for step, key in arrivals:
        clock.advance(step)
        in_window = [at for at in admissions[key] if at > clock.now_ns - window_ns]
        decision = window.admit(key)
        assert decision.admitted == (len(in_window) < limit)
        if decision.admitted:
            admissions[key].append(clock.now_ns)
        assert decision.remaining == max(0, limit - len(in_window) - 1)
        assert len(window) <= sum(any(at > clock.now_ns - window_ns for at in times) for times in admissions.values())
    for times in admissions.values():
        assert all(times[i + limit] - times[i] >= window_ns for i in range(len(times) - limit))


@given(limit=st.integers(1, 4), window_ns=st.integers(1, 10**12), arrivals=st.lists(steps, min_size=1, max_size=40))
def test_waiting_as_long_as_told_succeeds_and_any_less_does_not(limit, window_ns, arrivals):
    clock = Clock()
    window = SlidingWindow(limit, window_ns, clock)
    for step in arrivals:
        clock.advance(step)
        decision = window.admit("a")
        if not decision.admitted:
            assert decision.retry_after_ns >= 1
            clock.advance(decision.retry_after_ns - 1)
            assert not window.admit("a").admitted
            clock.advance(1)
            assert window.admit("a").admitted


@given(limit=st.integers(1, 4), window_ns=st.integers(1, 10**12), arrivals=st.lists(steps, min_size=1, max_size=40))
def test_after_the_reset_the_whole_limit_is_free_and_just_before_it_is_not(limit, window_ns, arrivals):
    clock = Clock()
    window = SlidingWindow(limit, window_ns, clock)
    for step in arrivals:
        clock.advance(step)
        window.admit("a")
    clock.advance(window.check("a").reset_ns - 1)
    assert window.check("a").remaining < limit
    clock.advance(1)
    assert window.check("a").remaining == limit
