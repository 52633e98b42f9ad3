"""Relays one WebSocket, from the handshake to its close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from handlers.dataplane.admission import check_again, client_of
from handlers.dataplane.proxy import BODY_SECONDS, ProxyHandler
from handlers.dataplane.relay import REST_SECONDS, finish
from handlers.dataplane.services.ownership import check_references
from handlers.dataplane.services.sockets.call import SocketCall
from handlers.dataplane.services.sockets.hops import CUT, GOING_AWAY, NO_STATUS, ClientHop, ProviderHop
from handlers.dataplane.summary import parse_body
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from handlers.problems import Problem, stopping
from intercept.apis import Api, RequestSummary
from intercept.catalog import RESPONSES
from intercept.dialects.openai.dialect import OpenAIError
from intercept.dialects.openai.responses_socket import (
    CREATE,
    ERROR,
    Lanes,
    ResponsesClientEvent,
    read_client_event,
    read_server_event,
)
from intercept.records import EndReason, SocketOrigin
from intercept.refusals import Rule
from upstream.client import UpstreamError, UpstreamTruncatedError

logger = logging.getLogger(__name__)

PING_SECONDS = 20.0
"""How often both sides get a ping, which also prevents the provider's idle timeout, and what may change is checked again."""
CLOSE_SECONDS = 2.0
"""How long the client may take to answer a close. A connection that is closed before may lose the close itself."""
POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1008, 1011, 1013
SERVICE_UNAVAILABLE = 503
MAX_CALLS = 32
"""How many responses of one WebSocket may run at the same time."""
TOO_MANY_CALLS = f"A WebSocket may have at most {MAX_CALLS} responses in progress."
NOT_AN_EVENT = "The message is not a JSON object with a `type`, and each member once."
SHUTTING_DOWN = "the server is shutting down"
LATE_MESSAGE = f"The message was not whole after {BODY_SECONDS:g} seconds."
MAX_REASON_BYTES = 120


class SocketSession:
    """Moves messages both ways, each as soon as it is there, and records what they ask for: here OpenAI's responses.

    Another API has another `api`, and other methods for its events.

    Args:
        handler: Of the handshake.
        to: Where it went.
        sent: The handshake.
        client: The client's end.
        provider: The provider's end.
    """

    api: Api = RESPONSES

    def __init__(
        self,
        handler: ProxyHandler,
        to: Destination,
        sent: UpstreamRequest,
        client: ClientHop,
        provider: ProviderHop,
    ) -> None:
        self._handler = handler
        self._bridge = handler.bridge
        self._to = to
        self._sent = sent
        self._client = client
        self._provider = provider
        self._id = UUID(handler.request_id)
        self._lanes: Any = self._make_lanes()
        self._error: UpstreamError | None = None
        self._beginning = 0
        self._is_draining = False
        self._over_limit: Problem | None = None
        self._closing = GOING_AWAY, SHUTTING_DOWN
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Relay until either side closes, or the server stops and no response is under way."""
        self._bridge.lifecycle.enter(self, long_lived=True)
        work = (self._relay_requests(), self._relay_events(), self._ping(), self._drained.wait())
        tasks = [asyncio.create_task(one) for one in work]  # noqa: TID251 - waited for below
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except UpstreamError as error:
            self._error = error
            self._bridge.provider_log.failed(self._to.provider.name, str(error))
        except TimeoutError:
            self._handler.stop(EndReason.CLIENT_DISCONNECTED)
            self._handler.cut()
        finally:
            self._bridge.lifecycle.leave(self)
            for task in tasks:
                task.cancel()
            try:
                await finish(self._read_rest(tasks))
            finally:
                for call in self._lanes.calls:
                    self._end_call(call, is_delivered=self._client.is_drained)
        await self._close()

    def stop(self, reason: EndReason) -> None:  # noqa: ARG002 - there is one reason
        """Accept no more requests, and close when none is running: the server stops, or this process retires."""
        self._is_draining = True
        self._check_drained()

    async def _relay_requests(self) -> None:
        while (message := await self._receive()) is not None:
            event = self._read_client_event(message)
            if event is None:
                await self._refuse(Problem(400, NOT_AN_EVENT, rule=Rule.UNUSABLE_BODY), None)
            elif await (self._begin(event, message) if event.is_request else self._may_pass(event)):
                await self._provider.send(message)
            self._check_drained()

    async def _receive(self) -> bytes | None:
        """Wait for the next message of the client. If one may not arrive, no more are read, and the WebSocket is closed."""
        try:
            return await self._client.receive(self._holding_slots)
        except Problem as error:
            problem = error
        await self._refuse(problem, None)
        self._closing = TRY_AGAIN_LATER, problem.message
        self.stop(EndReason.CLIENT_DISCONNECTED)
        await self._drained.wait()
        return None

    @asynccontextmanager
    async def _holding_slots(self) -> AsyncIterator[None]:
        """Hold slots for a message that arrives, as for a body over HTTP.

        Raises:
            Problem: It took too long.
            OverloadedError: Concurrency.
        """
        overload = self._bridge.overload
        held = [await overload.acquire_slot()]
        try:
            held.append(await overload.count_request(client_of(self._handler), slots=True))
            async with asyncio.timeout(BODY_SECONDS):
                yield
        except TimeoutError:
            raise Problem(408, LATE_MESSAGE, rule=Rule.LATE_BODY) from None
        finally:
            for one in held:
                one.release()

    async def _may_pass(self, event: Any) -> bool:  # noqa: ARG002 - here they ask for nothing
        """Whether a message that requests no response may be sent. If not, the client gets an error."""
        return True

    async def _relay_events(self) -> None:
        while (message := await self._provider.receive()) is not None:
            call, is_end = await self._feed(message)
            if self._over_limit is None:
                await self._client.send(message)
            if call is None:
                continue
            await call.catch_up()
            if is_end:
                self._lanes.forget(call)
                call.end(is_delivered=self._client.is_drained)
                await self._after_call()
                self._check_drained()

    async def _feed(self, message: bytes) -> tuple[SocketCall | None, bool]:
        """Let the call of an event take it, before the client does: it counts whether or not the client leaves.

        Return the call, and whether the event ends it.
        """
        event = self._read_server_event(message)
        call, is_end = self._lanes.receive(event)
        if call is None:
            self._beginning += 1
            try:
                call = await self._begin_by_provider(event)
            finally:
                self._beginning -= 1
        if call is not None:
            call.feed(message, event.status)
        return call, is_end

    async def _read_rest(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Read the events behind the one that the client has not taken, once the tasks that were cancelled are over.

        The usage of a call may be about to come. It is read if it comes within `REST_SECONDS`.
        """
        await asyncio.gather(*tasks, return_exceptions=True)
        for message in self._provider.take_arrived():
            await self._read_undelivered(message)
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                while any([await call.wants_rest() for call in self._lanes.calls]):
                    if (next_message := await self._provider.receive()) is None:
                        return
                    await self._read_undelivered(next_message)

    async def _read_undelivered(self, message: bytes) -> None:
        call, is_end = await self._feed(message)
        if call is not None:
            await call.catch_up()
            if is_end:
                self._lanes.forget(call)
                self._end_call(call, is_delivered=False)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            if (problem := await self._find_problem()) is not None:
                self._client.socket.close(POLICY_VIOLATION, _reason(problem.message))
                return
            self._client.socket.ping()
            self._provider.socket.ping()
            await self._client.flush()
            await self._provider.flush()

    async def _find_problem(self) -> Problem | None:
        """Why the WebSocket may not stay open; None where it may, or that cannot be known now.

        A response that is under way may end, unless it was refused.
        """
        if self._over_limit is not None or not self._is_idle:
            return self._over_limit
        try:
            await check_again(self._handler, self._to.provider.name)
            self.check_address(self._handler, self._to)
        except Problem as problem:
            is_unknown = problem.status == SERVICE_UNAVAILABLE and problem.rule is not Rule.PROVIDER_UNAVAILABLE
            return None if is_unknown or not self._is_idle else problem
        return None

    async def _begin(self, event: Any, message: bytes) -> bool:
        """Admit and record a request of the client; return whether it may be sent. If not, the client gets an error."""
        call = SocketCall(self._handler, self._to, self._sent, self.api, self._origin_of(event))
        self._beginning += 1
        try:
            self._check_room()
            await call.begin(partial(self._summarize, event, message))
        except Problem as problem:
            await self._refuse(problem, event)
            return False
        finally:
            self._beginning -= 1
        self._lanes.begin(self._lane_of(event), call, event)
        return True

    @classmethod
    def check_address(cls, handler: ProxyHandler, to: Destination) -> None:
        """Check what the address of the handshake names, which here is nothing.

        Raises:
            Problem: 403, a policy refuses a model.
        """

    def _make_lanes(self) -> Any:
        return Lanes[SocketCall]()

    def _read_client_event(self, message: bytes) -> Any:
        return read_client_event(message)

    def _read_server_event(self, message: bytes) -> Any:
        return read_server_event(message)

    def _lane_of(self, event: Any) -> str:
        return str(self._lanes.lane_of(event))

    def _origin_of(self, event: Any) -> SocketOrigin:
        return SocketOrigin(websocket_id=self._id, lane=self._lane_of(event), warm_up=not event.generate)

    async def _summarize(self, event: Any, message: bytes) -> RequestSummary:
        """The summary of a request, for its record.

        Raises:
            Problem: It cannot be used.
        """
        body = self._body(event, self._lane_of(event), message)
        summary = await parse_body(self._to, self.api, body)
        await check_references(self._handler, self._to.provider.name, summary.references)
        return summary

    async def _begin_by_provider(self, event: Any) -> SocketCall | None:  # noqa: ARG002 - here nothing begins so
        """The call of a response that the provider begins by itself; None where the event begins none."""
        return None

    async def _after_call(self) -> None:
        """Called when a call has ended."""

    def _error_event(self, problem: Problem, event: Any) -> dict[str, Any]:
        """The error message for a refused request, or for a message that is no event."""
        body = msgspec.to_builtins(OpenAIError.of(problem.status, problem.message))
        lane = {"stream_id": event.stream_id} if event is not None and event.stream_id else {}
        return {"type": ERROR, "status": problem.status, **lane, **body}

    def _check_room(self) -> None:
        if self._is_draining:
            raise stopping()
        if len(self._lanes) >= MAX_CALLS:
            raise Problem(429, TOO_MANY_CALLS, rule=Rule.USER_CONCURRENCY)

    def _body(self, event: ResponsesClientEvent, lane: str, message: bytes) -> bytes:
        """The body of the same request over HTTP."""
        current = self._lanes.current(lane)
        if event.type == CREATE or current is None:
            return message
        return b'{"model":%b,%b' % (msgspec.json.encode(current.model), message.lstrip()[1:])

    async def _refuse(self, problem: Problem, event: Any) -> None:
        problem = problem.scrubbed()
        self._handler.name_contact(problem)
        self._handler.note_denied(problem)
        self._handler.note_refusal(problem)
        await self._client.send(msgspec.json.encode(self._error_event(problem, event)))

    @property
    def _is_idle(self) -> bool:
        """Whether no response is under way or about to begin."""
        return not self._lanes and not self._beginning

    def _check_drained(self) -> None:
        if self._is_draining and self._is_idle:
            self._drained.set()

    def _end_call(self, call: SocketCall, *, is_delivered: bool) -> None:
        client_left = self._client.socket.close_code is not None and self._error is None
        stopped = self._handler.stopped or (EndReason.CLIENT_DISCONNECTED if client_left else None)
        error = self._error or (None if stopped else UpstreamTruncatedError(CUT))
        call.end(stopped, error, is_delivered=is_delivered)

    async def _close(self) -> None:
        """Close both ends; a code and a reason of one side go to the other."""
        client, provider = self._client.socket, self._provider.socket
        if self._error is not None:
            code, reason = INTERNAL_ERROR, f"{self._to.provider.name}: {self._error}"[:120]
        elif self._drained.is_set():
            code, reason = self._closing[0], _reason(self._closing[1])
        else:
            closed = next((one for one in (client, provider) if one.close_code is not None), None)
            code, reason = (closed.close_code or NO_STATUS, closed.close_reason) if closed else (NO_STATUS, "")
        client.close(code, reason)
        provider.close(code, reason)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.flush()
                await self._provider.flush()
                await self._client.wait_closed()
        except (UpstreamError, TimeoutError):
            logger.debug("a WebSocket was not closed in order")


def _reason(message: str) -> str:
    """As much of a message as a close may have for a reason."""
    return message.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
