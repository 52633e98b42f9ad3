"""Requests the usage of chat streams if the client does not, except from providers that refused that."""

from __future__ import annotations

from collections.abc import Callable

from intercept.apis import Api, RequestSummary
from intercept.catalog import CHAT_COMPLETIONS
from intercept.dialects.openai.stream_usage import with_usage
from intercept.formats.json_walk import Body
from upstream.cooldowns import Cooldowns

# For this time the option is not sent again to a provider that refused it for a model.
REMEMBERED_SECONDS = 3600.0
# Clients name the models. Beyond this number the oldest refusal is forgotten.
MAX_REMEMBERED = 1_000


class ChatUsage:
    """Adds `stream_options.include_usage` to requests for chat streams.

    Args:
        ensure: Whether it does so; if not, every request stays unchanged.
        monotonic: A clock that never goes back, in seconds.
    """

    def __init__(self, *, ensure: bool, monotonic: Callable[[], float]) -> None:
        self._ensure = ensure
        self._refused: Cooldowns[tuple[str, str]] = Cooldowns(MAX_REMEMBERED, monotonic)  # by provider and model

    def request_usage(self, provider: str, api: Api, summary: RequestSummary, body: Body) -> bytes | None:
        """Return the body that requests the usage; None if the client's own body is to be sent."""
        if not self._ensure or api is not CHAT_COMPLETIONS or not summary.stream:
            return None
        if self._refused.left((provider, summary.model)):
            return None
        return with_usage(body, summary.stream_options)

    def refused(self, provider: str, model: str) -> None:
        """Remember that a provider does not know the option."""
        self._refused.begin((provider, model), REMEMBERED_SECONDS)
