from __future__ import annotations

from storage.alerts.documents import (
    FIRST_RETRY_SECONDS,
    MAX_ATTEMPTS,
    MAX_RETRY_SECONDS,
    retry_seconds,
)


def test_the_first_retry_comes_within_thirty_seconds_and_the_last_after_three_days():
    waits = [retry_seconds(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits[0] == FIRST_RETRY_SECONDS < 30
    assert 2.5 * 86_400 < sum(waits) < 3.5 * 86_400
    assert max(waits) == MAX_RETRY_SECONDS
