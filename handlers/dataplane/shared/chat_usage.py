"""Requests the usage of chat streams if the client does not, except from providers that refused that."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from intercept.apis import Api, RequestSummary
from intercept.catalog import CHAT_COMPLETIONS, COMPLETIONS
from upstream.credentials.keys import Cooldowns

# For this time the option is not sent again to what refused it.
REMEMBERED_SECONDS = 3600.0
# Clients name the models. Beyond this number the oldest refusal is forgotten.
MAX_REMEMBERED = 1_000
# Characters of a query that are remembered.
MAX_QUERY = 256


class Asked(NamedTuple):
    """What knows the option or does not: a model of a provider. Of Azure's it depends on the version in the query."""

    provider: str
    model: str
    query: str = ""


class ChatUsage:
    """Adds `stream_options.include_usage` to requests for chat streams.

    Args:
        ensure: Whether it does so; if not, every request stays unchanged.
        monotonic: A clock that never goes back, in seconds.
    """

    def __init__(self, *, ensure: bool, monotonic: Callable[[], float]) -> None:
        self._ensure = ensure
        self._refused: Cooldowns[Asked] = Cooldowns(MAX_REMEMBERED, monotonic)
        self._accepted: Cooldowns[Asked] = Cooldowns(MAX_REMEMBERED, monotonic)

    def asks(self, asked: Asked, api: Api, summary: RequestSummary) -> bool:
        """Whether the usage is requested where the client does not; if not, its own body is to be sent."""
        is_known = api in (CHAT_COMPLETIONS, COMPLETIONS)
        return self._ensure and is_known and summary.stream and not self._refused.left(asked)

    def accepted(self, asked: Asked) -> None:
        """Remember that the option is known."""
        self._accepted.begin(asked, REMEMBERED_SECONDS)

    def refused(self, asked: Asked) -> None:
        """Remember that it is not, unless it was known before: then it does not go together with something in the request."""
        if not self._accepted.left(asked):
            self._refused.begin(asked, REMEMBERED_SECONDS)
