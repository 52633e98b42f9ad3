from limits.kinds.rate_window import RateWindow
from limits.limit import Limit, LimitState
from tests.limits.clock import SECOND
from tests.limits.test_limiter import rate


def test_a_large_rate_takes_sixteen_bytes_a_start_at_most_and_leaves_at_once():
    window, limit = RateWindow(SECOND), rate(200_000, window_ns=SECOND)
    for now in range(200_000):
        window.start(limit, 0, now)
    starts = window._keys[limit.key]
    assert window.state(limit, 0, 200_000) == LimitState(limit, 200_000, 0, SECOND - 200_000, SECOND - 1)
    assert starts.times.itemsize * len(starts.times) == 1_600_000
    assert window.state(limit, 0, SECOND + 99_999).used == 100_000
    assert len(starts.times) == 100_000
    assert window.state(limit, 0, 2 * SECOND) == LimitState(limit, 0, 200_000, 0, 0)
    assert len(window) == 0


def test_idle_keys_of_long_windows_are_forgotten_some_time_later():
    window = RateWindow(1_600)
    for now in range(10_000):
        window.start(limit_of(now), 0, now)
        assert len(window) <= 1_600 + 100
    window.forget(12_000)
    assert len(window) == 0


def limit_of(number: int) -> Limit:
    return rate(9, f"token:{number}", 10)
