"""Admission that several processes decide together, as `limits` sees it: what whoever counts for all of them offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Slot(Protocol):
    """The right of one request to run."""

    def release(self) -> None:
        """Give it back. Again is harmless."""


class Rate(Protocol):
    """What is left of a rate; see `limits.sliding_window.Decision`."""

    @property
    def limit(self) -> int:
        """Requests per window."""

    @property
    def remaining(self) -> int:
        """How many more would be admitted now."""

    @property
    def retry_after_ns(self) -> int:
        """Nanoseconds until the next would be, 0 while some remain."""

    @property
    def reset_ns(self) -> int:
        """Nanoseconds until all would be."""


class Verdict(Protocol):
    """What a request is told."""

    @property
    def refused_by(self) -> str | None:
        """`concurrency`, `user_concurrency`, `rate` or `user_rate`; None if it may start as far as is known."""

    @property
    def slot(self) -> Slot | None:
        """What it holds now, where slots are limited. Known or not, it is given back when the request is over."""

    @property
    def rates(self) -> Sequence[Rate]:
        """What is left of each rate that is limited; nothing while nobody can tell."""


class SharedAdmission(Protocol):
    """Counts for several processes. It answers in bounded time, and refuses nobody while it cannot know."""

    async def take_slot(self) -> Verdict:
        """Take one of the server's slots, which are limited."""

    async def count_request(self, key: str, user_key: str | None) -> Verdict:
        """Count a request for the rates of `key` and of the user, and take one of the user's slots: all or nothing."""


class Undecided(NamedTuple):
    """The verdict where nobody else is asked."""

    refused_by: None = None
    slot: None = None
    rates: tuple[()] = ()
