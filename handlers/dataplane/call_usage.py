"""What a call may use and has used, as its limits count it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.refused import problem_of
from intercept.records import Interception, Reading, TokenUsage
from limits.charges import amounts_of, remaining
from limits.limit import NOTHING, Amounts
from limits.overload import OverloadedError


class Limited(Protocol):
    """What holds the slots and reservations of a call: its handler, or a call over a WebSocket."""

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the call uses."""

    async def count_call(self, model: str, reserve: Callable[[], Amounts]) -> None:
        """Count the call for the limits that need its body; see `OverloadProtection.count_call`."""

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the call has used since its start."""


class CallUsage:
    """Presents a call to the limits that need its body, and charges what the provider tells.

    Args:
        limited: The call.
        handler: Of its connection.
        start: The start record.
        max_output: The most tokens that the request allows the model to write; None where it does not say.
    """

    def __init__(self, limited: Limited, handler: ProxyHandler, start: Interception, max_output: int | None) -> None:
        self._limited = limited
        self._handler = handler
        self._start = start
        self._max_output = max_output or 0
        self._reserved = NOTHING

    async def count(self) -> None:
        """Count the call, before it is recorded.

        Raises:
            Problem: 429 or 403, a limit refuses it.
        """
        handler = self._handler
        try:
            await self._limited.count_call(self._start.model, self._reserve)
        except OverloadedError as error:
            raise problem_of(error, handler.dialect, handler.bridge.now()) from error

    def charge(self, reading: Reading) -> None:
        """Charge what the provider has told so far, and hold back no more than what may still come."""
        usages = reading.token_usages
        if usages and self._limited.is_charged:
            self._limited.charge(self._amounts(reading), remaining(self._reserved, self._max_output, usages))

    def _reserve(self) -> Amounts:
        usage = TokenUsage(provider_response_id="", output_tokens=self._max_output)
        self._reserved = self._amounts(Reading(token_usages=(usage,)))
        return self._reserved

    def _amounts(self, reading: Reading) -> Amounts:
        cost = self._handler.bridge.recorder.cost(self._start, reading)
        cache_reads = self._handler.overload.settings.count_cache_reads
        return amounts_of(reading.token_usages, cost and cost.usd, cache_reads=cache_reads)
