"""What one user may have under way on the control plane."""

from __future__ import annotations

from limits.protection.user_shares import DEFAULT_REQUESTS, MAX_EXPORTS, MAX_LIVE_TAILS, MIN_REQUESTS, UserShares
from tests.cases import for_each


def taken(limit, user="ada"):
    """How many slots a user gets until one is refused."""
    slots = []
    while slot := limit.acquire(user):
        slots.append(slot)
    return len(slots)


def test_each_kind_of_work_has_a_share_that_the_others_leave_alone():
    shares = UserShares()
    assert [taken(one) for one in (shares.live_tails, shares.exports, shares.requests)] == [
        MAX_LIVE_TAILS,
        MAX_EXPORTS,
        DEFAULT_REQUESTS,
    ]
    assert taken(shares.exports, "grace") == MAX_EXPORTS


@for_each(
    ("user_max_concurrency", "requests"),
    [(0, DEFAULT_REQUESTS), (1, MIN_REQUESTS), (MIN_REQUESTS, MIN_REQUESTS), (100, 100)],
)
def test_requests_follow_the_users_concurrency_but_a_dashboard_always_fits(user_max_concurrency, requests):
    assert taken(UserShares(user_max_concurrency).requests) == requests
