"""How many requests to the control plane one user may run in one process, so that nobody blocks the others."""

from __future__ import annotations

from limits.protection.concurrency import ConcurrencyLimit

MAX_LIVE_TAILS = 5
"""Live tails of one user at the same time."""

MAX_SOCKETS = 16
"""WebSockets of one user at the same time."""

MAX_EXPORTS = 1
"""Exports of one user at the same time."""

DEFAULT_REQUESTS = 16
"""Other requests of one user at the same time, where `user-max-concurrency` is off."""

MIN_REQUESTS = 8
"""At least so many, where `user-max-concurrency` is on. A dashboard sends six at once, as many as browsers open to a server."""


class UserShares:
    """The shares of all users. A key of each limit is a user.

    Each is counted apart: a live tail takes nothing from the requests of the dashboard beside it.

    With `user_max_concurrency`, the calls of one user that may run at the same time, 0 is any number. `requests` are all
    other requests, until the client has taken the response.
    """

    def __init__(self, user_max_concurrency: int = 0) -> None:
        self.live_tails = ConcurrencyLimit(MAX_LIVE_TAILS)
        self.exports = ConcurrencyLimit(MAX_EXPORTS)
        self.sockets = ConcurrencyLimit(MAX_SOCKETS)
        self.requests = ConcurrencyLimit(max(user_max_concurrency or DEFAULT_REQUESTS, MIN_REQUESTS))
