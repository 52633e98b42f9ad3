"""The log of providers that give no response, or no whole one: a line now and then for each reason."""

from __future__ import annotations

import logging
from collections.abc import Callable

from limits.refusals import Throttle

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

    def refused(self, provider: str, reason: str) -> None:
        """A provider refuses calls for a reason that its response does not have. The operator has to act."""
        if due := self._throttle.count((provider, reason)):
            _log.error("provider refuses: provider=%s reason=%r new=%d total=%d", provider, reason, due.new, due.total)
