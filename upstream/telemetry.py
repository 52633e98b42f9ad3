"""Passes clients' telemetry on to a collector, as it came. What the collector does not take in time is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from upstream.client import UpstreamClient, UpstreamError
from upstream.connections.network import DIRECT, Network
from upstream.headers import Headers
from version import VERSION

MAX_WAITING: Final = 256
"""Requests that wait for the collector."""

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""What they have together."""

SEND_SECONDS: Final = 10.0
"""How long the collector may take to answer."""

_OK, _REDIRECT = 200, 300
_log = logging.getLogger(__name__)


class TelemetryForwarder:
    """Sends what clients report to a collector, one request after the other.

    Args:
        url: The collector: `/v1/logs` and so on are appended (OTLP specification, "OTLP/HTTP").
        counted: Called with "sent" or "lost" for each request.
    """

    def __init__(
        self, url: str, client: UpstreamClient, *, counted: Callable[[str], None], network: Network = DIRECT
    ) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._counted = counted
        self._network = network
        self._waiting: deque[tuple[str, Headers, bytes]] = deque()
        self._bytes = 0
        self._has_some = asyncio.Event()
        self._is_failing = False

    def forward(self, path: str, headers: Headers, body: bytes) -> None:
        """Have a request passed on. Returns at once.

        Args:
            path: Where it goes, such as `/v1/logs`.
            headers: Type and encoding of the body, and nothing else.
            body: As it came.
        """
        if len(self._waiting) >= MAX_WAITING or self._bytes + len(body) > MAX_WAITING_BYTES:
            self._counted("lost")
            return
        self._waiting.append((path, headers, body))
        self._bytes += len(body)
        self._has_some.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._has_some.wait()
            path, headers, body = self._waiting.popleft()
            self._bytes -= len(body)
            if not self._waiting:
                self._has_some.clear()
            problem = await self._send(self._url + path, headers, body)
            self._counted("lost" if problem else "sent")
            if problem and not self._is_failing:
                _log.warning("telemetry of clients is not forwarded: %s", problem)
            self._is_failing = bool(problem)

    async def _send(self, url: str, headers: Headers, body: bytes) -> str:
        """Send a request; return what went wrong."""
        sent = [*headers, ("User-Agent", f"AI-Bridge/{VERSION}")]
        try:
            async with asyncio.timeout(SEND_SECONDS):
                response = await self._client.open("POST", url, sent, body, network=self._network)
                response.close()
        except UpstreamError as error:
            return str(error).replace("the provider", "the collector")
        except TimeoutError:
            return f"no answer within {SEND_SECONDS:.0f} s"
        return "" if _OK <= response.status < _REDIRECT else f"the collector answered {response.status}"
