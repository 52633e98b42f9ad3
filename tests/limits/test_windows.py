from hypothesis import example, given
from hypothesis import strategies as st

from limits import windows
from limits.limit import LimitState
from limits.windows import RateWindow, TokenWindow
from tests.limits.clock import SECOND
from tests.limits.test_limiter import rate, tokens


def test_a_large_rate_is_exact_and_leaves_at_once():
    window, limit = RateWindow(SECOND), rate(200_000, window_ns=SECOND)
    for now in range(200_000):
        window.start(limit, 0, now)
    assert window.state(limit, 0, 200_000) == LimitState(limit, 200_000, 0, SECOND - 200_000, SECOND - 1)
    assert window.state(limit, 0, SECOND + 99_999).used == 100_000
    assert window.state(limit, 0, 2 * SECOND) == LimitState(limit, 0, 200_000, 0, 0)
    assert not window


WINDOW = 1000


@given(charges=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=200))
@example([(10, 1)] * 200)
@example([(1, 1)] * 200)
def test_grouped_charges_count_no_shorter_and_a_group_longer_at_most(charges):
    before = windows.MAX_CHARGES, windows.GROUPS
    windows.MAX_CHARGES, windows.GROUPS = 8, 10
    try:
        window, limit = TokenWindow(WINDOW), tokens(50, window_ns=WINDOW)
        now, made = 0, []
        for step, amount in charges:
            now += step
            window.charge(limit, amount, now)
            made.append((now, amount))
            used = window.state(limit, 0, now).used
            exact = sum(amount for at, amount in made if at > now - WINDOW)
            longer = sum(amount for at, amount in made if at > now - WINDOW - 100)
            assert exact <= used <= longer
            wait = window.state(limit, 0, now).retry_after_ns
            if wait:
                assert window.state(limit, 0, now).remaining == 0
            assert len(window._keys[limit.key].times) <= 2 * 11 + windows.MIN_GONE
        state = window.state(limit, 0, now)
        if state.retry_after_ns:
            assert window.state(limit, 0, now + state.retry_after_ns - 1).retry_after_ns == 1
            assert window.state(limit, 0, now + state.retry_after_ns).retry_after_ns == 0
    finally:
        windows.MAX_CHARGES, windows.GROUPS = before
