"""Which chat streams the bridge asks for their usage in the client's place, and what a provider that refuses is spared."""

from __future__ import annotations

from collections.abc import Callable

from intercept.apis import Api, RequestSummary
from intercept.catalog import CHAT_COMPLETIONS
from intercept.dialects.openai.stream_usage import with_usage
from intercept.formats.large_bodies import Body
from upstream.credentials.cooldowns import Cooldowns

# A provider that refused the option for a model is not asked for it again for so long.
REMEMBERED_SECONDS = 3600.0
# Clients name the models: the refusal that is known longest is forgotten for one more.
MAX_REMEMBERED = 1_000


class ChatUsage:
    """Adds `stream_options.include_usage` to requests for chat streams.

    Args:
        ensure: Whether it does; if not, every request stays as it is.
        monotonic: A clock that never goes back, in seconds.
    """

    def __init__(self, *, ensure: bool, monotonic: Callable[[], float]) -> None:
        self._ensure = ensure
        self._refused: Cooldowns[tuple[str, str]] = Cooldowns(MAX_REMEMBERED, monotonic)  # by provider and model

    def asking(self, provider: str, api: Api, summary: RequestSummary, body: Body) -> bytes | None:
        """Return the body that asks for the usage; None where the client's own body is to be sent."""
        if not self._ensure or api is not CHAT_COMPLETIONS or not summary.stream:
            return None
        if self._refused.left((provider, summary.model)):
            return None
        return with_usage(body, summary.stream_options)

    def refused(self, provider: str, model: str) -> None:
        """Remember that a provider does not know the option."""
        self._refused.begin((provider, model), REMEMBERED_SECONDS)
