"""What all requests to providers share: made once for a server.

Which models take `stream_options`, which calls were recorded when their result was fetched, and the log of providers that fail.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID, uuid5

from intercept.apis import Api, RequestSummary
from intercept.catalog import CHAT_COMPLETIONS, COMPLETIONS
from intercept.records import Ending, StartRecord
from limits.throttle import Throttle
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


MAX_FETCHED = 10_000
"""Ids of fetched calls that a process remembers. The database knows them some moments later."""

# Of ids that are made of what names a response, in its provider's words.
_NAMESPACE = UUID("5a6d9c34-6f4e-4f0b-9a51-0a6a6bb0f9d7")


def fetched_id(*names: str) -> UUID:
    """The id of a call that is known by these names: the same in every process."""
    return uuid5(_NAMESPACE, "\0".join(names).encode(errors="replace").decode())


def background_id(initiator_id: UUID, provider_name: str, response_id: str) -> UUID:
    """The id of the call for a user's response that ran in the background."""
    return fetched_id(str(initiator_id), provider_name, response_id)


class FetchedCalls:
    """The calls of this process that were recorded a moment ago, or are being recorded."""

    def __init__(self) -> None:
        self._ids: dict[UUID, None] = {}

    def claim(self, id_: UUID) -> bool:
        """Take over the recording of a call; False if somebody has."""
        if id_ in self._ids:
            return False
        if len(self._ids) >= MAX_FETCHED:
            del self._ids[next(iter(self._ids))]
        self._ids[id_] = None
        return True

    def give_back(self, id_: UUID) -> None:
        """Leave a call to the next one who fetches it."""
        self._ids.pop(id_, None)

    def ended(self, start: StartRecord, ending: Ending) -> None:
        """Note that a call has told what a response used that ran in the background: nobody is to record that again."""
        reading = ending.reading
        if reading.background_model and reading.token_usages:
            self.claim(background_id(start.initiator_id, start.provider_name, reading.response_id))


_log = logging.getLogger(__name__)


class ProviderLog:
    """Says why calls to providers fail.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._throttle = Throttle(now_ns)

    def failed(self, provider: str, reason: str) -> None:
        """A call to a provider failed. The reason is one of a bounded number of sentences."""
        if due := self._throttle.count((provider, reason)):
            _log.info("provider failed: provider=%s reason=%r new=%d total=%d", provider, reason, due.new, due.total)
