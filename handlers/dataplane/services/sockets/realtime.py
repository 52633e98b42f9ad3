"""Relays one WebSocket of OpenAI's Realtime API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from handlers.dataplane.services.sockets.call import SocketCall
from handlers.dataplane.services.sockets.session import POLICY_VIOLATION, SocketSession
from handlers.problems import Problem
from intercept.apis import RequestSummary
from intercept.catalog import REALTIME
from intercept.dialects.openai.realtime import (
    ERROR,
    ClientEvent,
    RealtimeCalls,
    ServerEvent,
    read_client_event,
    read_server_event,
)
from intercept.records import SocketOrigin
from limits.protection.overload import OverloadedError
from resources.errors import OpenAIError

OVER_LIMIT = "AI Bridge refuses further responses"


class RealtimeSession(SocketSession):
    """Records each `response.done`. With voice detection the provider begins responses by itself.

    Such a response is admitted when it begins. If a limit refuses it, it is recorded without being counted. When it has
    ended, the client gets an error and the WebSocket is closed. So a client is at most one response beyond a limit.
    """

    api = REALTIME
    _over_limit: Problem | None = None

    def _make_lanes(self) -> RealtimeCalls[SocketCall]:
        # The latter is Azure's, which takes names in any case. Of several a provider may read any.
        given = [(name.lower(), value) for name, value in parse_qsl(self._handler.request.query)]
        return RealtimeCalls(*[value for key in ("model", "deployment") for name, value in given if name == key])

    def _read_client_event(self, message: bytes) -> ClientEvent | None:
        event = read_client_event(message)
        if event is not None:
            self._lanes.note(event)
        return event

    def _read_server_event(self, message: bytes) -> ServerEvent:
        event = read_server_event(message)
        self._lanes.note(event)
        return event

    def _lane_of(self, event: ClientEvent) -> str:
        return event.event_id

    def _origin_of(self, event: ClientEvent | None) -> SocketOrigin:  # noqa: ARG002 - no lanes, and nothing to warm up
        return SocketOrigin(websocket_id=self._id)

    async def _summarize(self, event: ClientEvent, message: bytes) -> RequestSummary:  # noqa: ARG002 - the event has all
        summary: RequestSummary = self._lanes.summarize(event)
        return summary

    async def _begin_by_provider(self, event: ServerEvent) -> SocketCall | None:
        if not event.begins_response or not event.responds_to:
            return None
        call = SocketCall(self._handler, self._to, self._sent, self.api, self._origin_of(None))
        refusal: Problem | None = None
        try:
            try:
                await call.admit()
            except (Problem, OverloadedError) as error:
                refusal = self._problem_of(error)
            await call.start(self._lanes.summarize(), is_begun=True)
        except BaseException:
            call.release()
            raise
        self._over_limit = refusal or call.refusal or self._over_limit
        call.sent_at = self._bridge.now()
        self._lanes.begin_by_provider(event.responds_to, call)
        return call

    async def _after_call(self) -> None:
        problem, self._over_limit = self._over_limit, None
        if problem is not None:
            await self._refuse(problem, None)
            self._client.socket.close(POLICY_VIOLATION, OVER_LIMIT)
            self._drained.set()

    def _error_event(self, problem: Problem, event: ClientEvent | None) -> dict[str, Any]:
        body = msgspec.to_builtins(OpenAIError.of(problem.status, problem.message))
        body["error"] = body["error"] | {"event_id": (event.event_id if event else None) or None}
        return {"type": ERROR, "event_id": f"event_{self._handler.request_id}", **body}
