from hypothesis import example, given
from hypothesis import strategies as st

from limits.kinds import token_window, windows
from limits.kinds.token_window import TokenWindow
from tests.limits.test_limiter import tokens

WINDOW = 1000


@given(charges=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=200))
@example([(10, 1)] * 200)
@example([(1, 1)] * 200)
def test_grouped_charges_count_no_shorter_and_a_group_longer_at_most(charges):
    before = token_window.MAX_CHARGES, token_window.GROUPS
    token_window.MAX_CHARGES, token_window.GROUPS = 8, 10
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
        token_window.MAX_CHARGES, token_window.GROUPS = before


def test_charges_that_left_are_dropped_while_their_key_goes_on():
    window, limit = TokenWindow(10), tokens(100, window_ns=10)
    for now in range(10_000):
        window.charge(limit, 3, now)
    charges = window._keys[limit.key]
    assert window.state(limit, 0, 9_999).used == 30
    assert len(charges.times) == len(charges.sums) < 200
