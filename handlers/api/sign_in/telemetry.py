"""Takes the telemetry of Claude Code and other agents below a base URL: OTLP over HTTP.

A client is told 200 whatever becomes of what it sent, as it would send that again (OTLP specification, "OTLP/HTTP Response").
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar, Final

from handlers.base import BridgeHandler
from handlers.problems import Problem
from intercept.apis import InvalidRequestError
from intercept.client_events import ClientEvent, read_event
from intercept.formats.content_encoding import inflated
from intercept.formats.otlp import OtlpError, read_logs
from storage.accounts.events import Plane

LOGS: Final = "/v1/logs"
SIGNALS: Final = (LOGS, "/v1/metrics", "/v1/traces")
JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"


class SignedInHandler(BridgeHandler):
    """Answers a client that is signed in below a provider."""

    plane = Plane.SIGN_IN

    def write_problem(self, problem: Problem) -> None:
        """Put an error into the response. A client that is not signed in is not to try again."""
        if problem.status == HTTPStatus.UNAUTHORIZED:
            self.set_header("x-should-retry", "false")
        super().write_problem(problem)


class TelemetryHandler(SignedInHandler):
    """Takes a batch of logs, metrics or traces: passes it on, and keeps what its logs say of calls and tools."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ("POST",)
    MAX_BODY_BYTES: ClassVar[int] = 4 * 1024 * 1024
    BODY_SECONDS: ClassVar[float] = 30.0

    async def prepare(self) -> None:
        """Know who sends it before its body is read."""
        self.identity = await self.authenticate(self.read_credentials())
        await super().prepare()

    async def post(self) -> None:
        """Respond with an empty message."""
        body, path = bytes(self._body), "/v1/" + self.request.path.rpartition("/")[2]
        kind, encoding = self._header("Content-Type").partition(";")[0].strip(), self._header("Content-Encoding")
        is_json = kind == JSON
        if self.bridge.telemetry_forwarder is not None:
            named = [("Content-Type", JSON if is_json else PROTOBUF)]
            named += [("Content-Encoding", "gzip")] if encoding == "gzip" else []
            self.bridge.telemetry_forwarder.forward(path, named, body)
        if path == LOGS:
            # Beside the event loop: a batch of 512 takes some 80 ms.
            events = await asyncio.to_thread(_events, body, encoding, is_json=is_json)
            self.bridge.client_events.note(self.identity.user.id, events)
        self.set_header("Content-Type", JSON if is_json else PROTOBUF)
        self.write(b"{}" if is_json else b"")

    def _header(self, name: str) -> str:
        return self.request.headers.get(name, "").strip().lower()


def _events(body: bytes, encoding: str, *, is_json: bool) -> list[ClientEvent]:
    """Read the events of a batch; none of one that cannot be read."""
    try:
        plain = inflated(body, encoding, TelemetryHandler.MAX_BODY_BYTES) if encoding == "gzip" else body
        return [event for record in read_logs(plain, is_json=is_json) if (event := read_event(record)) is not None]
    except (InvalidRequestError, OtlpError):
        return []
