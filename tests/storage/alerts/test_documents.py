from __future__ import annotations

from storage.alerts.documents import (
    FIRST_RETRY_SECONDS,
    MAX_ATTEMPTS,
    MAX_RETRY_SECONDS,
    event_id_of,
    retry_seconds,
)
from tests.cases import for_each


def test_the_id_of_a_message_follows_from_what_happened():
    assert event_id_of("budget:a") == event_id_of("budget:a") != event_id_of("budget:b")
    assert len(event_id_of("x")) == len("msg_") + 32


@for_each(("attempts", "seconds"), [(1, 10), (2, 40), (3, 160), (6, 10_240), (7, 21_600), (18, 21_600)])
def test_each_wait_is_longer_than_the_one_before_up_to_six_hours(attempts, seconds):
    assert retry_seconds(attempts) == seconds


def test_the_first_retry_comes_within_thirty_seconds_and_the_last_after_three_days():
    waits = [retry_seconds(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits[0] == FIRST_RETRY_SECONDS < 30
    assert 2.5 * 86_400 < sum(waits) < 3.5 * 86_400
    assert max(waits) == MAX_RETRY_SECONDS
