"""Relays one WebSocket of OpenAI's Realtime API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from handlers.dataplane.policy import check_models
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.services.sockets.call import SocketCall
from handlers.dataplane.services.sockets.session import POLICY_VIOLATION, SocketSession
from handlers.dataplane.upstream_request import Destination
from handlers.problems import Problem
from intercept.apis import RequestSummary
from intercept.catalog import REALTIME
from intercept.dialects.openai.dialect import OpenAIError
from intercept.dialects.openai.realtime import (
    CANCEL,
    ERROR,
    RealtimeCalls,
    RealtimeClientEvent,
    RealtimeServerEvent,
    read_client_event,
    read_server_event,
)
from intercept.records import SocketOrigin

OVER_LIMIT = "AI Bridge refuses further responses"


def _models_in(query: str) -> list[str]:
    # The latter is Azure's, which takes names in any case. Of several a provider may read any.
    given = [(name.lower(), value) for name, value in parse_qsl(query)]
    return [value for key in ("model", "deployment") for name, value in given if name == key]


class RealtimeSession(SocketSession):
    """Records each response and each transcription. With voice detection the provider begins them by itself.

    Such a one is admitted when it begins. If that is refused, the client gets an error and nothing more, the response is
    cancelled at the provider and recorded without being counted, and when it has ended the WebSocket is closed.
    """

    api = REALTIME

    @classmethod
    def check_address(cls, handler: ProxyHandler, to: Destination) -> None:
        """Check the models that the address of the handshake names.

        Raises:
            Problem: 403, a policy refuses one.
        """
        if models := _models_in(handler.request.query):
            check_models(handler, to.provider.name, RealtimeCalls[SocketCall](*models).summarize())

    def _make_lanes(self) -> RealtimeCalls[SocketCall]:
        return RealtimeCalls(*_models_in(self._handler.request.query))

    async def _may_pass(self, event: RealtimeClientEvent) -> bool:
        try:
            for model in event.models:
                check_models(self._handler, self._to.provider.name, RequestSummary(model=model))
        except Problem as problem:
            await self._refuse(problem, event)
            return False
        return True

    def _read_client_event(self, message: bytes) -> RealtimeClientEvent | None:
        event = read_client_event(message)
        if event is not None:
            self._lanes.note(event)
        return event

    def _read_server_event(self, message: bytes) -> RealtimeServerEvent:
        event = read_server_event(message)
        self._lanes.note(event)
        return event

    def _lane_of(self, event: RealtimeClientEvent) -> str:
        return event.event_id

    def _origin_of(self, event: RealtimeClientEvent | None) -> SocketOrigin:  # noqa: ARG002 - no lanes, and nothing to warm up
        return SocketOrigin(websocket_id=self._id)

    async def _summarize(self, event: RealtimeClientEvent, message: bytes) -> RequestSummary:  # noqa: ARG002 - the event has all
        summary: RequestSummary = self._lanes.summarize(event)
        return summary

    async def _begin_by_provider(self, event: RealtimeServerEvent) -> SocketCall | None:
        if not (event.begins_response or event.is_heard) or not event.responds_to:
            return None
        call = SocketCall(self._handler, self._to, self._sent, self.api, self._origin_of(None))

        async def summarize() -> RequestSummary:
            summary: RequestSummary = self._lanes.summarize_heard() if event.is_heard else self._lanes.summarize()
            return summary

        await call.begin(summarize, is_made=True, takes_slot=not event.is_heard)
        self._lanes.begin_by_provider(event.responds_to, call)
        if self._over_limit is None and (problem := call.refusal) is not None:
            self._over_limit = problem
            await self._refuse(problem, None)
            if event.begins_response:
                await self._provider.send(msgspec.json.encode({"type": CANCEL, "response_id": event.responds_to}))
        return call

    async def _after_call(self) -> None:
        if self._over_limit is not None:
            self._client.socket.close(POLICY_VIOLATION, OVER_LIMIT)
            self._drained.set()

    def _error_event(self, problem: Problem, event: RealtimeClientEvent | None) -> dict[str, Any]:
        body = msgspec.to_builtins(OpenAIError.of(problem.status, problem.message))
        body["error"] = body["error"] | {"event_id": (event.event_id if event else None) or None}
        return {"type": ERROR, "event_id": f"event_{self._handler.request_id}", **body}
